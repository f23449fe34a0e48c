import type { ServerResponse } from 'node:http';

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

/** After how many seconds a refused peer may repeat its request: the minimum of `Retry-After`. */
const RETRY_AFTER_SECONDS = 1;

/** Bytes per second below which a receiver gives up a body in its verified buffer; see `transfer/verify/verify-body.ts`. */
const MIN_RATE = 512 * 1024;

export interface PeerUploadsComponents {
  readonly metrics: Metrics;
  /** Peer IDs of other holders of the digest, as far as they are known without a look-up. */
  readonly holders?: (digest: Digest) => readonly string[];
}

/** Bounds on what this node sends to peers. They do not hold for the local containerd. */
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

/** Bounds the bodies that this node sends to peers, in number and rate, and reports the load to peers. */
export class PeerUploads {
  readonly #components: PeerUploadsComponents;
  readonly #zone: string;
  readonly #max: number;
  readonly #maxPerBlob: number;
  readonly #bandwidth: Bandwidth | undefined;
  readonly #perBlob = new Map<Digest, number>();
  #uploads = 0;

  constructor(components: PeerUploadsComponents, init: PeerUploadsInit = {}) {
    const { zone = '', max = 0, maxPerBlob = 0, limit = 0 } = init;
    this.#components = components;
    this.#zone = zone;
    this.#max = bound(max, limit);
    this.#maxPerBlob = maxPerBlob;
    this.#bandwidth = limit > 0 ? new Bandwidth(limit) : undefined;
  }

  /** Sets the headers by which an answer to a peer reports load and zone. */
  report(res: ServerResponse): void {
    res.setHeader(LOAD_HEADER, formatLoad({ uploads: this.#uploads, max: this.#max }));
    if (this.#zone !== '') res.setHeader(ZONE_HEADER, this.#zone);
  }

  /**
   * Counts a blob that is going to be sent to a peer.
   *
   * @throws OciError `UNAVAILABLE` beyond the bounds; headers of the answer then name other holders
   */
  begin(digest: Digest, res: ServerResponse): PeerUpload {
    const { metrics } = this.#components;
    const bandwidth = this.#bandwidth;
    const ofBlob = this.#perBlob.get(digest) ?? 0;
    const full = this.#max > 0 && this.#uploads >= this.#max;
    if (full || (this.#maxPerBlob > 0 && ofBlob >= this.#maxPerBlob)) {
      metrics.uploadsRefused.inc({ reason: full ? 'node' : 'blob' });
      this.#refer(digest, res);
      throw new OciError('UNAVAILABLE', 'too many transfers to peers, ask another');
    }
    this.#uploads += 1;
    this.#perBlob.set(digest, ofBlob + 1);
    metrics.uploads.inc();
    this.report(res);
    return {
      ...(bandwidth && { pace: (body, signal) => bandwidth.pace(body, signal) }),
      [Symbol.dispose]: () => {
        this.#uploads -= 1;
        const left = (this.#perBlob.get(digest) ?? 0) - 1;
        if (left > 0) this.#perBlob.set(digest, left);
        else this.#perBlob.delete(digest);
        metrics.uploads.dec();
      },
    };
  }

  /** Counts few bytes that are sent without pacing against the rate. The bodies that are paced wait longer for them. */
  charge(bytes: number): void {
    this.#bandwidth?.charge(bytes);
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

/** The bound on bodies. With more bodies than the rate can feed, receivers would give all of them up as too slow. */
function bound(max: number, limit: number): number {
  if (limit === 0) return max;
  const fed = Math.max(1, Math.floor(limit / MIN_RATE));
  return max === 0 ? fed : Math.min(max, fed);
}
