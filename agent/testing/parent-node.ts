import type { TestContext } from 'node:test';

import { LocalSource } from '../content/local-source.ts';
import { DownloadFollowers } from '../fanout/serving/followers.ts';
import { FollowedSource } from '../fanout/serving/followed-source.ts';
import type { Tails } from '../fanout/serving/tail/tails.ts';
import { instrument } from '../http/instrument.ts';
import type { ListenerTls } from '../http/tls-server.ts';
import { transferStage } from '../app/stages/transfer.ts';
import type { ContentSource } from '../content/content-source.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { Callers } from '../mirror/callers.ts';
import { MirrorHandler } from '../mirror/mirror-handler.ts';
import { PeerUploads, type PeerUploadsInit } from '../mirror/peer-uploads.ts';
import { DataPlane, type DataPlaneMode } from '../native/data-plane.ts';
import type { Digest } from '../oci/digest.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import type { Provider } from '../routing/router.ts';
import { MemoryStore } from '../store/memory-store.ts';
import type { DownloadUnderTest } from './conformance/ingests.ts';
import { IngestFixture } from './ingest-fixture.ts';
import { listen } from './listen.ts';
import { FixedRouter } from './mirror-node.ts';
import { quiet } from './quiet.ts';
import type { SigningNode } from './signing-nodes.ts';

/** A download that the client of a {@link ParentNode} writes. */
interface ParentDownload extends DownloadUnderTest {
  /** Has the store know the blob, which follows the rename of the file. */
  confirm(bytes: Buffer): void;
}

/** A node whose client downloads, and whose mirror can be followed. */
export interface ParentNode {
  readonly origin: string;
  readonly followers: DownloadFollowers;
  readonly fixture: IngestFixture;
  readonly store: MemoryStore;
  begin(digest: Digest, total?: number): Promise<ParentDownload>;
  /** The address of a blob, or of a manifest. */
  url(digest: Digest, kind?: 'blobs' | 'manifests', repository?: string): string;
}

/** Options of a {@link ParentNode}. */
export interface ParentNodeInit {
  readonly mode?: DataPlaneMode;
  readonly followers?: DownloadFollowers;
  readonly uploads?: PeerUploadsInit;
  readonly waitMs?: number;
  readonly policy?: SharePolicy;
  readonly sharesDigest?: (digest: Digest) => boolean;
  /** With it the node serves signed requests only, and takes no client for one of its own. */
  readonly identity?: SigningNode;
  readonly tls?: ListenerTls;
  /** Gets what the node forwards to its client, and gives it to its followers. */
  readonly tails?: Tails;
  /** The node that this one follows, with which its client downloads. Default: the client downloads by itself. */
  readonly follows?: Provider;
}

/** Bytes up to which a blob is served once it is committed. */
export const VERIFIED_SIZE = 100_000;

/** Starts a node that ends with the test. */
export async function startParent(t: TestContext, init: ParentNodeInit = {}): Promise<ParentNode> {
  const fixture = await IngestFixture.create();
  t.after(() => fixture[Symbol.asyncDispose]());
  const store = new MemoryStore(fixture.ingests);
  const dataPlane = new DataPlane({ logger: quiet }, init.mode);
  const local = new LocalSource({ store, dataPlane, logger: quiet });
  const { followers = new DownloadFollowers({ dataPlane }), identity, waitMs, tls, tails } = init;
  const followed = new FollowedSource(
    { store, local, followers, dataPlane, ...(tails && { tails }) },
    { verifiedSize: VERIFIED_SIZE, ...(waitMs !== undefined && { waitMs }) },
  );
  const metrics = createMetrics();
  const remote = init.follows
    ? [following(t, init.follows, { store, dataPlane, metrics, tails })]
    : [];
  const isLocal = (): boolean => false;
  const callers =
    identity &&
    new Callers({ verifier: identity.verifier, isLocal }, { servesAnyone: identity.signer.isOpen });
  const handler = new MirrorHandler({
    sources: { local: [local], remote, followed },
    policy: init.policy ?? new SharePolicy(),
    ...(init.sharesDigest && { sharesDigest: init.sharesDigest }),
    uploads: new PeerUploads({ metrics }, init.uploads),
    ...(callers && { callers }),
    metrics,
    logger: quiet,
  });
  const handle = instrument(metrics, 'registry', handler.handle.bind(handler));
  const origin = await listen(t, handle, tls && { tls });
  return {
    ...{ origin, followers, fixture, store },
    async begin(digest, total) {
      const download = await fixture.begin(digest, total);
      return { ...download, confirm: (bytes) => void store.putBlob(bytes, digest) };
    },
    url: (digest, kind = 'blobs', repository = 'team/app') =>
      `${origin}/v2/${repository}/${kind}/${digest}?ns=registry.example`,
  };
}

/** What the node gets from the one that it follows. */
function following(
  t: TestContext,
  parent: Provider,
  { tails, ...parts }: FollowingParts,
): ContentSource {
  const stage = transferStage(
    { ...parts, router: new FixedRouter(), logger: quiet },
    {
      client: { userAgent: 'peerglass/test', headTimeout: 1_000, stallTimeout: 5_000 },
      transfer: { resolveTimeout: 20, resolveRetries: 3 },
    },
  );
  t.after(() => stage.stop());
  const init = { timeout: 10_000, verifiedSize: Infinity };
  return stage.follow(new FixedRouter(parent), init, tails).large;
}

interface FollowingParts {
  readonly store: MemoryStore;
  readonly dataPlane: DataPlane;
  readonly metrics: Metrics;
  readonly tails: Tails | undefined;
}
