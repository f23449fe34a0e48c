import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { LocalClients } from '../http/local-clients.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { Bandwidth } from '../transfer/body/bandwidth.ts';
import {
  ALTERNATIVES_HEADER,
  LOAD_HEADER,
  MAX_ALTERNATIVES,
  ZONE_HEADER,
  formatLoad,
} from '../transfer/client/peer-report.ts';
import { MIN_RATE } from '../transfer/verify/verify-body.ts';
import { FairSlots } from './fair-slots.ts';

/** After how many seconds a refused peer may repeat its request: the minimum of `Retry-After`. */
const RETRY_AFTER_SECONDS = 1;

/**
 * How long a client that is no peer waits for an upload, and between two looks, in milliseconds. It knows no other holder,
 * and a refused chunk would fail the pull of a containerd that fetches in parallel.
 */
const CLIENT_WAIT_MS = 2_000;
const CLIENT_RETRY_MS = 100;

export interface PeerUploadsComponents {
  readonly metrics: Metrics;
  /** Peer IDs of other holders of the digest, as far as they are known without a look-up. */
  readonly holders?: (digest: Digest) => readonly string[];
  /** Whether a client is on this node. Default: see {@link LocalClients}. */
  readonly isLocal?: (address: string | undefined) => boolean;
  /** Bounds of another listener of this node, with which these share the rate, and not the bodies. Default: none. */
  readonly sharesRateWith?: PeerUploads;
}

/** Who asks for a body. */
export interface Asker {
  readonly res: ServerResponse;
  /** Whether the agent of another node asks. */
  readonly fromPeer: boolean;
  /** Whether it also takes content that is still arriving; see `FOLLOW_HEADER`. Default: it does not. */
  readonly follows?: boolean;
}

/** Bounds on what this node sends to peers and other clients that are not on this node. */
export interface PeerUploadsInit {
  /** The zone of this node, which it reports to peers. Default: empty, for none. */
  readonly zone?: string;
  /** Bodies of blobs at once. Default: 0, for no bound. */
  readonly max?: number;
  /** Bodies of one blob at once. Default: 0, for no bound. */
  readonly maxPerBlob?: number;
  /** Bytes per second for all bodies together. Default: 0, for no limit. */
  readonly limit?: number;
}

/** Yields the body at the rate at which it may be sent. */
type Pace = (body: AsyncIterable<Uint8Array>, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** A body that is being sent to a peer. To be disposed of when it ends. */
export interface PeerUpload extends Disposable {
  /** Absent without a limit on the rate. */
  readonly pace?: Pace;
}

/**
 * Bounds the bodies that this node sends to others, in number and rate, and reports the load to peers. The address of a
 * client decides, so that nothing is gained by asking like a containerd. A client on this node that says to be a peer is
 * taken for one: several agents of one host are.
 */
export class PeerUploads {
  readonly #components: PeerUploadsComponents;
  readonly #zone: string;
  readonly #isLocal: (address: string | undefined) => boolean;
  readonly #max: number;
  readonly #maxPerBlob: number;
  readonly #bandwidth: Bandwidth | undefined;
  readonly #slots: FairSlots;
  readonly #perBlob = new Map<Digest, FairSlots>();

  constructor(components: PeerUploadsComponents, init: PeerUploadsInit = {}) {
    const { zone = '', max = 0, maxPerBlob = 0, limit = 0 } = init;
    this.#components = components;
    this.#zone = zone;
    this.#max = bound(max, limit);
    this.#maxPerBlob = maxPerBlob;
    this.#isLocal = components.isLocal ?? new LocalClients().has;
    this.#slots = new FairSlots(this.#max);
    const { sharesRateWith } = components;
    this.#bandwidth = sharesRateWith ? sharesRateWith.#bandwidth : ofRate(limit);
  }

  /** Sets the headers by which an answer to a peer reports load and zone. */
  report(res: ServerResponse): void {
    res.setHeader(LOAD_HEADER, formatLoad({ uploads: this.#slots.taken, max: this.#max }));
    if (this.#zone !== '') res.setHeader(ZONE_HEADER, this.#zone);
  }

  /** Whether the bounds hold for who asks: for all but clients on this node, as its containerd. */
  isBounded({ res, fromPeer }: Asker): boolean {
    return fromPeer || !this.#isLocal(res.req.socket.remoteAddress);
  }

  /**
   * Counts a blob that is going to be sent to a client. A client that is no peer waits a little where a peer is refused.
   *
   * @throws OciError `UNAVAILABLE` beyond the bounds; headers of the answer then name other holders. `BLOB_UNKNOWN` for a
   *   peer that follows: the arbiter names another one
   * @throws the signal's reason when that is aborted
   */
  async begin(
    digest: Digest,
    { res, fromPeer, follows = false }: Asker,
    signal: AbortSignal,
  ): Promise<PeerUpload> {
    const { metrics } = this.#components;
    const bandwidth = this.#bandwidth;
    const { remoteAddress } = res.req.socket;
    // Several agents of one host share its addresses.
    const client = this.#isLocal(remoteAddress) ? undefined : remoteAddress;
    let reason = this.#refusal(digest, client);
    for (let ms = 0; reason && !fromPeer && ms < CLIENT_WAIT_MS; ms += CLIENT_RETRY_MS) {
      await delay(CLIENT_RETRY_MS, undefined, { signal });
      reason = this.#refusal(digest, client);
    }
    if (reason !== undefined) {
      metrics.uploadsRefused.inc({ reason });
      if (follows)
        throw new OciError('BLOB_UNKNOWN', 'too many transfers to others to be followed');
      this.#refer(digest, res);
      throw new OciError('UNAVAILABLE', 'too many transfers to others, ask another');
    }
    const end = this.#take(digest, client);
    metrics.uploads.inc();
    if (fromPeer) this.report(res);
    return {
      ...(bandwidth && { pace: (body, bodySignal) => bandwidth.pace(body, bodySignal) }),
      [Symbol.dispose]: () => {
        end();
        metrics.uploads.dec();
      },
    };
  }

  /** Counts few bytes that are sent without pacing against the rate. The bodies that are paced wait longer for them. */
  charge(bytes: number): void {
    this.#bandwidth?.charge(bytes);
  }

  #refusal(digest: Digest, client: string | undefined): 'node' | 'blob' | 'address' | undefined {
    const ofNode = this.#slots.refusal(client);
    if (ofNode !== undefined) return ofNode === 'full' ? 'node' : 'address';
    const ofBlob = this.#perBlob.get(digest)?.refusal(client);
    return ofBlob === 'full' ? 'blob' : ofBlob && 'address';
  }

  #take(digest: Digest, client: string | undefined): () => void {
    const ofBlob = this.#perBlob.get(digest) ?? new FairSlots(this.#maxPerBlob);
    this.#perBlob.set(digest, ofBlob);
    const ends = [this.#slots.take(client), ofBlob.take(client)];
    return () => {
      for (const end of ends) end();
      if (ofBlob.taken === 0) this.#perBlob.delete(digest);
    };
  }

  #refer(digest: Digest, res: ServerResponse): void {
    const holders = this.#components.holders?.(digest) ?? [];
    // From a random one on, so that refused peers spread over the holders.
    const from = Math.floor(Math.random() * holders.length);
    const named = [...holders.slice(from), ...holders.slice(0, from)].slice(0, MAX_ALTERNATIVES);
    if (named.length > 0) res.setHeader(ALTERNATIVES_HEADER, named.join(', '));
    res.setHeader('Retry-After', RETRY_AFTER_SECONDS);
  }
}

function ofRate(limit: number): Bandwidth | undefined {
  return limit > 0 ? new Bandwidth(limit) : undefined;
}

/** The bound on bodies. With more bodies than the rate can feed, receivers would give up all that they verify first. */
function bound(max: number, limit: number): number {
  if (limit === 0) return max;
  const fed = Math.max(1, Math.floor(limit / MIN_RATE));
  return max === 0 ? fed : Math.min(max, fed);
}
