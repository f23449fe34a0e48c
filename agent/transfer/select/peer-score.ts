import { isFull, type PeerLoad, type PeerReport } from '../client/peer-report.ts';

/** Peers remembered; the one that was heard of longest ago is forgotten first. */
const MAX_PEERS = 5_000;

/** How long a peer's load is believed, in milliseconds: transfers begin and end. */
const LOAD_MEMORY_MS = 5_000;

/** How long a peer that said it is busy is left to the others, in milliseconds. */
const BUSY_MS = 250;

/** Bodies smaller than this, in bytes, say more about latency than about throughput. */
const LEAST_MEASURED = 256 * 1024;

/** Share of the newest body in a peer's throughput. */
const NEWEST_SHARE = 0.3;

interface PeerScore {
  zone?: string | undefined;
  load?: PeerLoad;
  /** When the load was told. */
  loadAt: number;
  /** Our own requests that were under way then, and are part of that load. */
  ownAtLoad: number;
  busyUntil: number;
  /** Bytes per second. */
  throughput?: number;
}

/** Where a peer stands beside this node; unknown until it has said its zone. */
export type Nearness = 'same' | 'unknown' | 'other';

/** Options of {@link PeerScores}. */
export interface PeerScoresInit {
  /** The zone of this node; empty when it has none, and then all peers are equally near. */
  readonly zone?: string;
  /** Milliseconds on a clock that never jumps. */
  readonly now?: () => number;
}

/**
 * What peers have said of themselves, and how well they delivered to this node: what {@link chooseSource}
 * weighs. The zone of a peer is learnt from the first answer it gives, whatever that is.
 */
export class PeerScores {
  readonly #profiles = new Map<string, PeerScore>();
  /** Requests to a peer that are under way from here, bodies included. */
  readonly #own = new Map<string, number>();
  readonly #zone: string;
  readonly #now: () => number;

  constructor({ zone = '', now = () => performance.now() }: PeerScoresInit = {}) {
    this.#zone = zone;
    this.#now = now;
  }

  /** A request to the peer begins; to be followed by {@link ends} when its body has ended too. */
  begins(peerId: string): void {
    this.#own.set(peerId, (this.#own.get(peerId) ?? 0) + 1);
  }

  ends(peerId: string): void {
    const left = (this.#own.get(peerId) ?? 0) - 1;
    if (left > 0) this.#own.set(peerId, left);
    else this.#own.delete(peerId);
  }

  /** The peer has answered, and said this of itself. */
  reported(peerId: string, report: PeerReport): void {
    const { zone, load } = report;
    const profile = this.#touch(peerId);
    profile.zone = zone ?? profile.zone;
    if (load === undefined) return;
    profile.load = load;
    profile.loadAt = this.#now();
    profile.ownAtLoad = this.#own.get(peerId) ?? 0;
    profile.busyUntil = isFull(report) ? this.#now() + BUSY_MS : 0;
  }

  /** The peer has refused a request because it has too many. */
  refused(peerId: string): void {
    this.#touch(peerId).busyUntil = this.#now() + BUSY_MS;
  }

  /** The peer has delivered so many bytes, and was waited for so many milliseconds. */
  delivered(peerId: string, bytes: number, milliseconds: number): void {
    if (bytes < LEAST_MEASURED) return;
    const profile = this.#touch(peerId);
    const newest = (bytes * 1000) / Math.max(1, milliseconds);
    const before = profile.throughput ?? newest;
    profile.throughput = before + (newest - before) * NEWEST_SHARE;
  }

  /** Whether the peer would refuse, by what it said a moment ago. */
  isBusy(peerId: string): boolean {
    return (this.#profiles.get(peerId)?.busyUntil ?? 0) > this.#now();
  }

  nearness(peerId: string): Nearness {
    const zone = this.#profiles.get(peerId)?.zone;
    if (this.#zone === '' || zone === undefined) return 'unknown';
    return zone === this.#zone ? 'same' : 'other';
  }

  /**
   * Transfers from the peer that are in progress: what it said last, and what we have begun since; our own alone
   * when it has said nothing lately.
   */
  load(peerId: string): number {
    const own = this.#own.get(peerId) ?? 0;
    const profile = this.#profiles.get(peerId);
    if (profile?.load === undefined || this.#now() - profile.loadAt > LOAD_MEMORY_MS) return own;
    return Math.max(own, profile.load.uploads + own - profile.ownAtLoad);
  }

  /** Bytes per second that the peer delivered lately; undefined when nothing is known of it. */
  throughput(peerId: string): number | undefined {
    return this.#profiles.get(peerId)?.throughput;
  }

  #touch(peerId: string): PeerScore {
    const profile = this.#profiles.get(peerId) ?? { loadAt: 0, ownAtLoad: 0, busyUntil: 0 };
    this.#profiles.delete(peerId);
    this.#profiles.set(peerId, profile);
    const [oldest] = this.#profiles.keys();
    if (this.#profiles.size > MAX_PEERS && oldest !== undefined) this.#profiles.delete(oldest);
    return profile;
  }
}
