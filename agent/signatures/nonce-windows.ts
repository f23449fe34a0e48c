import { LRUCache } from 'lru-cache';

/** Peers whose nonces are remembered, of some 500 bytes each. The least recent one is forgotten first. */
const MAX_PEERS = 8_192;
/** Prefixes of one peer: it has a new one after it restarted or forgot this node. */
const MAX_PREFIXES = 4;
/** By how much a counter may be behind the highest one: requests overtake each other. A multiple of 32. */
const WINDOW = 2_048;

/** The counters that were used with one prefix: the highest, and a bit for each of the {@link WINDOW} up to it. */
interface Used {
  highest: number;
  readonly bits: Uint32Array;
}

/**
 * Remembers which nonces were used, so that a request is not accepted twice. As the window of IPsec (RFC 4303, section
 * 3.4.3), and so of constant size for each peer.
 */
export class NonceWindows {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #peers = new LRUCache<string, Map<string, Used>>({
    maxSize: MAX_PEERS,
    sizeCalculation: () => 1,
  });

  /**
   * Takes note of a nonce whose signature is valid.
   *
   * @param counter from 1 on
   * @returns whether it is new; false for one that may have been used
   */
  use(peerId: string, prefix: string, counter: number): boolean {
    const prefixes = this.#peers.get(peerId) ?? new Map<string, Used>();
    this.#peers.set(peerId, prefixes);
    const used = prefixes.get(prefix) ?? { highest: 0, bits: new Uint32Array(WINDOW / 32) };
    if (used.highest === 0) {
      prefixes.set(prefix, used);
      const [oldest] = prefixes.keys();
      if (prefixes.size > MAX_PREFIXES && oldest !== undefined) prefixes.delete(oldest);
    }
    if (counter > used.highest) advance(used, counter);
    else if (counter <= used.highest - WINDOW || hasBit(used, counter)) return false;
    setBit(used, counter);
    return true;
  }
}

/** Moves the window, and clears the bits of the counters that enter it. */
function advance(used: Used, counter: number): void {
  if (counter - used.highest >= WINDOW) used.bits.fill(0);
  else for (let it = used.highest + 1; it < counter; it += 1) clearBit(used, it);
  used.highest = counter;
}

function hasBit({ bits }: Used, counter: number): boolean {
  const at = counter % WINDOW;
  return ((bits[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
}

function setBit({ bits }: Used, counter: number): void {
  const at = counter % WINDOW;
  bits[at >>> 5] = (bits[at >>> 5] ?? 0) | (1 << (at & 31));
}

function clearBit({ bits }: Used, counter: number): void {
  const at = counter % WINDOW;
  bits[at >>> 5] = (bits[at >>> 5] ?? 0) & ~(1 << (at & 31));
}
