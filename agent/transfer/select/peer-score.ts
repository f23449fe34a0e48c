import { isFull, type PeerLoad, type PeerReport } from '../client/peer-report.ts';

/** How long a reported load is used, in milliseconds: transfers begin and end. */
const LOAD_MEMORY_MS = 5_000;

/** How long other peers are asked before one that reported itself full or answered busy, in milliseconds. */
const BUSY_MS = 250;

/** Smallest body that counts for the throughput, in bytes: smaller ones measure latency. */
const MIN_MEASURED_BYTES = 256 * 1024;

/** A body for which this node waited this long counts whatever its size, in milliseconds: its peer is slow. */
const MIN_MEASURED_MS = 2_000;

/** How long a throughput is compared with that of a body in progress, in milliseconds: links and loads change. */
const RECENT_MS = 600_000;

/** Weight of the newest body in the throughput of a peer (an exponential moving average). */
const NEWEST_WEIGHT = 0.3;

/** Whether a peer is in the zone of this node; unknown until the peer has reported its zone. */
export type Nearness = 'same' | 'unknown' | 'other';

/**
 * How well one peer suits as the next to ask: the zone and the load that it reported last, and the throughput that this
 * node measured. {@link choosePeer} weighs them. A peer reports its zone with its first answer, whatever that is.
 *
 * `now` is in milliseconds on a clock that never jumps.
 */
export class PeerScore {
  #zone: string | undefined;
  #load: PeerLoad | undefined;
  /** When the load was reported. */
  #loadAt = 0;
  /** Requests of this node that were in progress at that time: the reported load includes them. */
  #ownAtLoad = 0;
  #busyUntil = 0;
  #throughput: number | undefined;
  #throughputAt = 0;
  /** Requests of this node to the peer that are in progress, their bodies included. */
  #own = 0;

  /** A request to the peer begins. Each call must be followed by one of {@link requestEnds}. */
  requestBegins(): void {
    this.#own += 1;
  }

  /** A request to the peer has ended, and its body too. */
  requestEnds(): void {
    this.#own -= 1;
  }

  /** Records what the peer reported with an answer. */
  reported(report: PeerReport, now: number): void {
    const { zone, load } = report;
    this.#zone = zone ?? this.#zone;
    if (load === undefined) return;
    this.#load = load;
    this.#loadAt = now;
    this.#ownAtLoad = this.#own;
    this.#busyUntil = isFull(report) ? now + BUSY_MS : 0;
  }

  /** Records that the peer refused a request because it sends too many bodies already. */
  refused(now: number): void {
    this.#busyUntil = now + BUSY_MS;
  }

  /**
   * Records the speed of a body.
   *
   * @param milliseconds for how long this node waited for the peer
   */
  delivered(bytes: number, milliseconds: number, now: number): void {
    if (bytes < MIN_MEASURED_BYTES && milliseconds < MIN_MEASURED_MS) return;
    const newest = (bytes * 1000) / Math.max(1, milliseconds);
    const before = this.#throughput ?? newest;
    this.measured(before + (newest - before) * NEWEST_WEIGHT, now);
  }

  /** Sets the throughput, in bytes a second, whatever was measured before. */
  measured(rate: number, now: number): void {
    this.#throughput = rate;
    this.#throughputAt = now;
  }

  /** Whether the peer would probably refuse a request now. */
  isBusy(now: number): boolean {
    return this.#busyUntil > now;
  }

  /** @param ownZone the zone of this node; empty when it has none, and then all peers are equally near */
  nearness(ownZone: string): Nearness {
    if (ownZone === '' || this.#zone === undefined) return 'unknown';
    return this.#zone === ownZone ? 'same' : 'other';
  }

  /**
   * Transfers from the peer that are in progress: those of its last report, and those that this node has begun since.
   * Without a recent report only the own ones are counted.
   */
  load(now: number): number {
    if (this.#load === undefined || now - this.#loadAt > LOAD_MEMORY_MS) return this.#own;
    return Math.max(this.#own, this.#load.uploads + this.#own - this.#ownAtLoad);
  }

  /** Bytes a second that the peer delivered lately; undefined before the first large body. */
  get throughput(): number | undefined {
    return this.#throughput;
  }

  /** The throughput, if it was measured within the last ten minutes. */
  recentThroughput(now: number): number | undefined {
    return now - this.#throughputAt > RECENT_MS ? undefined : this.#throughput;
  }
}
