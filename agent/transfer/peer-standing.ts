/** How long it is remembered how a peer did, in milliseconds. */
const MEMORY_MS = 10_000;

/** Entries remembered; the oldest is forgotten first. */
const MAX_ENTRIES = 10_000;

/** `late`: has not answered when it should have. `silent`: did not answer at all. `lacks`: has not the content. */
type Finding = 'good' | 'late' | 'silent' | 'lacks';

/**
 * What the requests of this node have found out about peers in the last seconds, and share with each other.
 *
 * Records outlive the nodes that placed them, and what these held. Without this, each of many requests at once
 * would lose time to each dead node by itself; with it, one of them tries a peer that nothing is known about,
 * and the others turn to those that do answer.
 */
export class PeerStanding {
  /** A peer, or a peer and a key, with what was last found out and until when that counts. */
  readonly #known = new Map<string, { readonly finding: Finding; readonly until: number }>();
  /** Peers that are being asked, and how often. */
  readonly #asking = new Map<string, number>();
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The peer is being asked; to be followed by {@link asked} however that ends. */
  asking(peerId: string): void {
    this.#asking.set(peerId, (this.#asking.get(peerId) ?? 0) + 1);
  }

  /** The peer is not being asked any longer. */
  asked(peerId: string): void {
    const left = (this.#asking.get(peerId) ?? 0) - 1;
    if (left > 0) this.#asking.set(peerId, left);
    else this.#asking.delete(peerId);
  }

  /** The peer has answered, and has the content of the key or has not. */
  answered(peerId: string, key: string, has: boolean): void {
    this.#note(peerId, 'good');
    if (has) this.#known.delete(pair(peerId, key));
    else this.#note(pair(peerId, key), 'lacks');
  }

  /** The peer has not answered yet, though others do in that time. */
  late(peerId: string): void {
    if (!this.isSilent(peerId)) this.#note(peerId, 'late');
  }

  /** The peer cannot be reached, or did not answer in the time that it had. */
  silent(peerId: string): void {
    this.#note(peerId, 'silent');
  }

  /** Whether the peer did not answer when it was asked last. */
  isSilent(peerId: string): boolean {
    return this.#look(peerId) === 'silent';
  }

  /** Whether others are to be asked before the peer, and nobody is to wait for it. */
  isDoubtful(peerId: string, key: string): boolean {
    const finding = this.#look(peerId);
    if (finding === undefined) return this.#asking.has(peerId);
    return finding !== 'good' || this.#look(pair(peerId, key)) === 'lacks';
  }

  #look(entry: string): Finding | undefined {
    const found = this.#known.get(entry);
    return found !== undefined && found.until > this.#now() ? found.finding : undefined;
  }

  #note(entry: string, finding: Finding): void {
    this.#known.delete(entry);
    this.#known.set(entry, { finding, until: this.#now() + MEMORY_MS });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_ENTRIES && oldest !== undefined) this.#known.delete(oldest);
  }
}

function pair(peerId: string, key: string): string {
  return `${peerId} ${key}`;
}
