/** How long it is remembered how a peer did, in milliseconds. */
const MEMORY_MS = 10_000;

/** The same for one that did not answer at all: its records may name it for many minutes. */
const SILENCE_MEMORY_MS = 60_000;

/** Requests that wait for a peer at once find it silent together, in as many milliseconds: that counts once. */
const SAME_SILENCE_MS = 100;

/** Entries remembered; the oldest is forgotten first. */
const MAX_ENTRIES = 10_000;

/**
 * `late`: has not answered when it should have. `silent`: did not answer at all. `lacks`: has not the content.
 * `failed`: has it, and did not deliver it well.
 */
type Finding = 'good' | 'late' | 'silent' | 'lacks' | 'failed';

interface Note {
  readonly finding: Finding;
  readonly until: number;
  /** How often this was found one after another. */
  readonly times: number;
  /** When it was found last. */
  readonly at: number;
  /** When the peer had the whole of its time last. */
  readonly chance: number;
}

/**
 * What the requests of this node have found out about peers in the last seconds, and share with each other.
 *
 * Records outlive the nodes that placed them, and what these held. Without this, each of many requests at once
 * would lose time to each dead node by itself; with it, one of them tries a peer that nothing is known about,
 * and the others turn to those that do answer.
 */
export class PeerResponsiveness {
  /** A peer, or a peer and a key, with what was last found out and until when that counts. */
  readonly #known = new Map<string, Note>();
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

  /** The peer did not deliver the content of the key well: the others are asked for it before this one. */
  failed(peerId: string, key: string): void {
    this.#note(pair(peerId, key), 'failed');
  }

  /** The peer has not answered yet, though others do in that time. */
  late(peerId: string): void {
    if (this.#look(peerId)?.finding !== 'silent') this.#note(peerId, 'late');
  }

  /** The peer cannot be reached, or did not answer in the time that it had. */
  silent(peerId: string): void {
    this.#note(peerId, 'silent');
  }

  /**
   * How often in a row the peer did not answer. Now and then it is told as once, to one request, lest a peer that
   * is slow and not dead be never heard.
   */
  silences(peerId: string): number {
    const found = this.#look(peerId);
    if (found?.finding !== 'silent') return 0;
    const now = this.#now();
    if (now - found.chance < MEMORY_MS) return found.times;
    this.#known.set(peerId, { ...found, chance: now });
    return 1;
  }

  /** Whether others are to be asked before the peer, and nobody is to wait for it. */
  isDoubtful(peerId: string, key: string): boolean {
    if (this.#look(pair(peerId, key)) !== undefined) return true;
    const finding = this.#look(peerId)?.finding;
    if (finding === undefined) return this.#asking.has(peerId);
    return finding !== 'good';
  }

  #look(entry: string): Note | undefined {
    const found = this.#known.get(entry);
    return found !== undefined && found.until > this.#now() ? found : undefined;
  }

  #note(entry: string, finding: Finding): void {
    const now = this.#now();
    const before = this.#look(entry);
    const again = before?.finding === finding ? before : undefined;
    const isSame = again !== undefined && now - again.at < SAME_SILENCE_MS;
    const times = (again?.times ?? 0) + (isSame ? 0 : 1);
    const until = now + (finding === 'silent' ? SILENCE_MEMORY_MS : MEMORY_MS);
    this.#known.delete(entry);
    this.#known.set(entry, { finding, until, times, at: now, chance: again?.chance ?? now });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_ENTRIES && oldest !== undefined) this.#known.delete(oldest);
  }
}

function pair(peerId: string, key: string): string {
  return `${peerId} ${key}`;
}
