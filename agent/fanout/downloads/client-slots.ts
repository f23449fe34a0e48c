import type { Digest } from '../../oci/digest.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';

/** How long nothing may change until requests are cut, in milliseconds: at random, so that one node of several does it first. */
const STUCK_MS = { least: 250, most: 1_000 };
/**
 * Requests that are cut, the first times that it is stuck; then all of them. One is often enough, and each costs a download of this
 * node.
 */
const CUT_AT_FIRST = [1, 2];
/**
 * For how long no request waits for another node after all were cut, in milliseconds, unless all that was sent upstream begins before.
 * What has not begun by then needs no place: the registry is slow, or the client has given it up without a word.
 */
const CUT_MS = 10_000;
/** Contents that are remembered as those that have not begun. */
const MAX_UNBEGUN = 1_000;
/** Places of a client of which no more is known: the default of `max_concurrent_downloads`. */
const DEFAULT_PLACES = 3;
/** After so many milliseconds without a request it is learnt anew how many the client makes at a time. */
const QUIET_MS = 10_000;

/** A request of the client that may wait for another node. To be disposed of when it has ended. */
export interface Waiting extends Disposable {
  /** Aborted when the client needs the place of the request. */
  readonly signal: AbortSignal;
}

interface Request {
  readonly digest: Digest;
  readonly cut: AbortController;
  readonly onCut: () => void;
}

/**
 * Finds when this node and others wait for each other. From 2.1 on a containerd has a bounded number of requests under way
 * (`max_concurrent_downloads`, 3 by default), and after a 404 of the mirror the one to the registry comes behind all that wait for a place.
 * So requests that wait for other nodes can keep those from beginning that the other nodes wait for in turn. Before 2.1 a layer
 * keeps its place, and then not all places are held by requests that wait.
 *
 * When all places are held by requests without a byte, while the client was sent upstream for something and has not begun, and
 * nothing changes for a while, these requests go upstream as well: first one, then two, then all.
 */
export class ClientSlots {
  readonly #now: () => number;
  readonly #requests = new Set<Request>();
  /** What has bytes, of that which is asked for. */
  readonly #served = new Set<Digest>();
  /** What the client was sent upstream for and has no byte of, and when it was sent. */
  readonly #unbegun = new BoundedMap<Digest, number>(MAX_UNBEGUN);
  /**
   * Requests that the client can have under way: the most that were here at a time. Those that are served by the store of this node, or
   * by a peer that holds the content, are not counted, so there may be more; and never fewer than by default are assumed.
   */
  #places = DEFAULT_PLACES;
  #lastAt = -Infinity;
  /** How often requests were cut since all that was sent upstream had begun. */
  #cuts = 0;
  #cutUntil = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether no request is to wait for another node now. */
  get isCutting(): boolean {
    return this.#now() < this.#cutUntil && this.#waitsForPlace;
  }

  /** The client goes to the registry for the content. */
  sentUpstream(digest: Digest): void {
    this.#unbegun.set(digest, this.#now());
    this.#changed();
  }

  /** The client has bytes of the content, or is about to have them, or wants it no more. */
  began(digest: Digest): void {
    const wasUnbegun = this.#unbegun.delete(digest);
    const isAsked = this.#requests.values().some((request) => request.digest === digest);
    const isNews = isAsked && !this.#served.has(digest);
    if (isNews) this.#served.add(digest);
    if (wasUnbegun || isNews) this.#changed();
  }

  /**
   * A request begins that may wait for another node.
   *
   * @param onCut called when it is to go upstream
   */
  begin(digest: Digest, onCut: () => void): Waiting {
    const request: Request = { digest, cut: new AbortController(), onCut };
    const now = this.#now();
    if (this.#requests.size === 0 && now - this.#lastAt > QUIET_MS) this.#places = DEFAULT_PLACES;
    this.#lastAt = now;
    this.#requests.add(request);
    this.#places = Math.max(this.#places, this.#requests.size);
    this.#changed();
    return {
      signal: request.cut.signal,
      [Symbol.dispose]: () => {
        this.#end(request);
      },
    };
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #end(request: Request): void {
    if (!this.#requests.delete(request)) return;
    this.#lastAt = this.#now();
    const { digest } = request;
    if (!this.#requests.values().some((other) => other.digest === digest))
      this.#served.delete(digest);
    this.#changed();
  }

  #changed(): void {
    clearTimeout(this.#timer);
    if (!this.#waitsForPlace) this.#cuts = 0;
    if (this.#isStopped || !this.#isStuck) return;
    const { least, most } = STUCK_MS;
    this.#timer = setTimeout(
      () => {
        this.#cut();
      },
      least + Math.random() * (most - least),
    );
    this.#timer.unref();
  }

  get #isStuck(): boolean {
    const waiting = this.#requests.size;
    const isFull = waiting > 0 && waiting >= this.#places;
    return isFull && this.#served.size === 0 && this.#waitsForPlace;
  }

  /** Whether something that the client was sent upstream for may lack a place. Forgets what has had one for long enough. */
  get #waitsForPlace(): boolean {
    const now = this.#now();
    for (const [digest, sentAt] of this.#unbegun.entries()) {
      const wasCutFor = now >= this.#cutUntil && sentAt < this.#cutUntil;
      if (!wasCutFor || now - sentAt <= CUT_MS) return true;
      this.#unbegun.delete(digest);
    }
    return false;
  }

  #cut(): void {
    const now = this.#now();
    const count = CUT_AT_FIRST[this.#cuts] ?? Infinity;
    this.#cuts += 1;
    // Not longer for requests that are cut meanwhile: this is to end while some content does not begin.
    if (count === Infinity && now >= this.#cutUntil) this.#cutUntil = now + CUT_MS;
    // The latest first: the client asks for the layers of an image in the same order on all nodes, so that the first come first.
    const requests = [...this.#requests].filter(({ cut }) => !cut.signal.aborted).reverse();
    for (const { cut, onCut } of requests.slice(0, count)) {
      onCut();
      cut.abort(new Error('the client needs the place of this request'));
    }
  }
}
