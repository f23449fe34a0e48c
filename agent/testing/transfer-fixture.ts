import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { MemoryStore } from '../store/memory-store.ts';
import type { Ingests } from '../store/ingests.ts';
import { PeerClient } from '../transfer/client/peer-client.ts';
import {
  createPeerTransfers,
  type CreatePeerTransferComponents,
  type CreatePeerTransferInit,
  type PeerTransfers,
} from '../transfer/create-peer-transfer.ts';
import type { PeerTransfer } from '../transfer/peer-transfer.ts';
import type { TransferRouter } from '../transfer/select/peer-attempts.ts';
import { FixedRouter } from './mirror-node.ts';
import { quiet } from './quiet.ts';
import { testTls } from './test-tls.ts';

/** The peers as a source of content, without a mirror in front of them. */
export interface TransferFixture extends AsyncDisposable {
  readonly transfer: PeerTransfer;
  /** Makes a transfer that follows the peers of another router. */
  readonly following: (
    router: TransferRouter,
    init: Parameters<PeerTransfers['following']>[1],
  ) => PeerTransfer;
  readonly taking: PeerTransfers['taking'];
  readonly metrics: Metrics;
}

/** What a test may choose of a {@link TransferFixture}. */
export interface TransferFixtureInit
  extends
    Partial<CreatePeerTransferInit>,
    Partial<Pick<CreatePeerTransferComponents, 'router' | 'chunkSizes'>> {
  readonly headTimeout?: number;
  readonly ingests?: Ingests;
}

/** Makes a transfer with short time-outs. */
export function startTransfer(init: TransferFixtureInit = {}): TransferFixture {
  const metrics = createMetrics();
  const client = new PeerClient({
    userAgent: 'peerglass/test',
    headTimeout: init.headTimeout ?? 1_000,
    ...(testTls && { tls: testTls }),
  });
  const { router = new FixedRouter(), chunkSizes } = init;
  const store = new MemoryStore(init.ingests);
  const { transfer, following, taking } = createPeerTransfers(
    { router, client, store, metrics, logger: quiet, ...(chunkSizes && { chunkSizes }) },
    { resolveTimeout: 20, resolveRetries: 3, ...init },
  );
  return {
    transfer,
    taking,
    following: (followed, bounds) => following({ router: followed, client }, bounds),
    metrics,
    async [Symbol.asyncDispose]() {
      transfer.stop();
      await client.close();
    },
  };
}
