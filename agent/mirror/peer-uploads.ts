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

/** When a peer that was refused may come back, in seconds: the least that the header can say. */
const RETRY_AFTER_SECONDS = 1;

/** Bytes per second below which an asker gives up a body that it holds back, see `transfer/verify/verify-body.ts`. */
const LEAST_RATE = 512 * 1024;

/** What {@link PeerUploads} work with. */
export interface PeerUploadsComponents {
  readonly metrics: Metrics;
  /** Peer IDs of others that hold the digest, as far as is known without asking anybody. */
  readonly holders?: (digest: Digest) => readonly string[];
}

/** Bounds on what this node sends to peers; its own containerd is not bounded by them. */
export interface PeerUploadsInit {
  /** The zone of this node, told to peers; empty, the default, for none. */
  readonly zone?: string;
  /** Bodies to peers at once; 0, the default, for no bound. */
  readonly most?: number;
  /** The same for one blob. */
  readonly mostPerBlob?: number;
  /** Bytes per second for all of them together; 0, the default, for no limit. */
  readonly limit?: number;
}

/** Gives the body at the rate at which it may be sent. */
export type Pace = (
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

/** A body that is being sent to a peer; disposed of when that has ended. */
export interface PeerUpload extends Disposable {
  /** Absent where nothing is limited. */
  readonly pace?: Pace;
}

/** The bodies that this node is sending to peers: how many, how fast, and what it tells peers of that. */
export class PeerUploads {
  readonly #components: PeerUploadsComponents;
  readonly #zone: string;
  readonly #most: number;
  readonly #mostPerBlob: number;
  readonly #bandwidth: Bandwidth | undefined;
  readonly #perBlob = new Map<Digest, number>();
  #uploads = 0;

  constructor(components: PeerUploadsComponents, init: PeerUploadsInit = {}) {
    const { zone = '', most = 0, mostPerBlob = 0, limit = 0 } = init;
    this.#components = components;
    this.#zone = zone;
    this.#most = bound(most, limit);
    this.#mostPerBlob = mostPerBlob;
    this.#bandwidth = limit > 0 ? new Bandwidth(limit) : undefined;
  }

  /** Writes into the head of an answer to a peer what it is to know of this node. */
  report(res: ServerResponse): void {
    res.setHeader(LOAD_HEADER, formatLoad({ uploads: this.#uploads, max: this.#most }));
    if (this.#zone !== '') res.setHeader(ZONE_HEADER, this.#zone);
  }

  /**
   * Begins to send a blob to a peer.
   *
   * @throws OciError `UNAVAILABLE`, with whom to ask instead in the head of the answer
   */
  begin(digest: Digest, res: ServerResponse): PeerUpload {
    const { metrics } = this.#components;
    const bandwidth = this.#bandwidth;
    const ofBlob = this.#perBlob.get(digest) ?? 0;
    const full = this.#most > 0 && this.#uploads >= this.#most;
    if (full || (this.#mostPerBlob > 0 && ofBlob >= this.#mostPerBlob)) {
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

  /** Counts bytes that are sent at once, since they are few: the bodies that are paced wait for them. */
  charge(bytes: number): void {
    this.#bandwidth?.charge(bytes);
  }

  #refer(digest: Digest, res: ServerResponse): void {
    const holders = this.#components.holders?.(digest) ?? [];
    // Others each time, lest all who are refused go to the same.
    const from = Math.floor(Math.random() * holders.length);
    const named = [...holders.slice(from), ...holders.slice(0, from)].slice(0, MAX_ALTERNATIVES);
    if (named.length > 0) res.setHeader(ALTERNATIVES_HEADER, named.join(', '));
    res.setHeader('Retry-After', RETRY_AFTER_SECONDS);
  }
}

/** More bodies than the limit can feed would all be given up as too slow by those who wait for them. */
function bound(most: number, limit: number): number {
  if (limit === 0) return most;
  const fed = Math.max(1, Math.floor(limit / LEAST_RATE));
  return most === 0 ? fed : Math.min(most, fed);
}
