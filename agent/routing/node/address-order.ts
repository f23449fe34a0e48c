import { isIP } from 'node:net';

import type { Multiaddr } from '@multiformats/multiaddr';

import { tcpAddress, type SocketAddress } from './announced-addresses.ts';
import { INTERFACE_RANK, interfaceRanks } from './interface-ranks.ts';

/** Observed addresses that are remembered; further ones are ignored. A host has a handful that peers reach. */
const MAX_OBSERVED = 64;
/**
 * What an observation takes off the rank of an address. One peer may lie: a bridge at which it claims to see this node
 * stays behind the addresses with a default route.
 */
const OBSERVED_BONUS = 1.5;
/** How long the ranks of the interfaces are taken for current, in milliseconds. */
const RANKS_VALID_MS = 5_000;

/**
 * The order in which the addresses of this node are announced: those of interfaces with a default route come first, and
 * bridges of container networks last. An address at which peers have seen this node comes before others of its kind,
 * and of the next better kind. Only the first few are announced, and a host may have any number.
 *
 * What peers observe only orders the addresses that the host has. A malicious peer can add none.
 */
export class AddressOrder {
  readonly #observed = new Set<string>();
  readonly #readRanks: () => ReadonlyMap<string, number>;
  #ranks: ReadonlyMap<string, number> = new Map();
  #readAt = -Infinity;

  /** @param readRanks default {@link interfaceRanks} */
  constructor(readRanks: () => ReadonlyMap<string, number> = () => interfaceRanks()) {
    this.#readRanks = readRanks;
  }

  /**
   * Records the address at which a peer sees this node, if the host has it.
   *
   * @param own the addresses that the node listens on
   * @returns whether the order may have changed
   */
  observe(address: Multiaddr, own: () => readonly Multiaddr[]): boolean {
    const ip = plainIp(tcpAddress(address)?.ip);
    if (ip === undefined || this.#observed.has(ip)) return false;
    if (!own().some((each) => tcpAddress(each)?.ip === ip)) return false;
    if (this.#observed.size >= MAX_OBSERVED) return false;
    this.#observed.add(ip);
    return true;
  }

  /** The addresses in order; those of a family that rank alike stay in the order of the system. */
  sort(sockets: readonly SocketAddress[]): SocketAddress[] {
    if (sockets.length < 2) return [...sockets];
    const now = performance.now();
    if (now - this.#readAt >= RANKS_VALID_MS) {
      this.#ranks = this.#readRanks();
      this.#readAt = now;
    }
    // Within a rank the families take turns, so that many addresses of one do not push out the other.
    const turns = new Map<string, number>();
    const ranked = sockets.map((socket) => {
      const rank = this.#rank(socket);
      const group = `${rank} ${isIP(socket.ip)}`;
      const turn = turns.get(group) ?? 0;
      turns.set(group, turn + 1);
      return { socket, rank, turn };
    });
    ranked.sort((one, other) => one.rank - other.rank || one.turn - other.turn);
    return ranked.map(({ socket }) => socket);
  }

  #rank({ ip }: SocketAddress): number {
    const rank = this.#ranks.get(ip) ?? INTERFACE_RANK.other;
    return this.#observed.has(ip) ? rank - OBSERVED_BONUS : rank;
  }
}

/** An IPv4-mapped address as IPv4: a socket of both families sees IPv4 peers so. */
function plainIp(ip: string | undefined): string | undefined {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(ip ?? '') ?? [];
  if (high === undefined || low === undefined) return ip;
  return [high, low]
    .flatMap((half) => [parseInt(half, 16) >> 8, parseInt(half, 16) & 255])
    .join('.');
}
