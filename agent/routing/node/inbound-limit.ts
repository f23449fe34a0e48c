import type { MultiaddrConnection } from '@libp2p/interface';

import { hostOf } from './host-of.ts';

/** Connections of one host whose handshake is not done. All nodes behind one NAT may start at once. */
const MAX_PENDING = 64;
/** Connections of one host in all. */
const MAX_CONNECTIONS = 512;

interface Counts {
  pending: number;
  all: number;
}

/** Options of {@link InboundLimit}, mainly for tests. */
export interface InboundLimitInit {
  /** Default 64. */
  readonly maxPending?: number;
  /** Default 512. */
  readonly maxConnections?: number;
  /** Called with the address of each connection that is refused. */
  readonly onRefused?: (address: string) => void;
}

/**
 * Bounds the inbound connections of each host, before anything is read of them: one that opens many and says nothing
 * leaves room for the others. libp2p bounds them in all only.
 */
export class InboundLimit {
  readonly #init: InboundLimitInit;
  readonly #hosts = new Map<string, Counts>();
  readonly #settling = new WeakMap<MultiaddrConnection, () => void>();

  constructor(init: InboundLimitInit = {}) {
    this.#init = init;
  }

  /** Number of hosts that are counted. */
  get hosts(): number {
    return this.#hosts.size;
  }

  /** Counts the connection until it ends; whether there are too many of its host. */
  denies(connection: MultiaddrConnection): boolean {
    // Nothing would report its end any more.
    if (connection.status !== 'open') return true;
    const host = hostOf(connection.remoteAddr);
    const { maxPending = MAX_PENDING, maxConnections = MAX_CONNECTIONS } = this.#init;
    const counts = this.#hosts.get(host) ?? { pending: 0, all: 0 };
    if (counts.pending >= maxPending || counts.all >= maxConnections) {
      this.#init.onRefused?.(connection.remoteAddr.toString());
      return true;
    }
    this.#hosts.set(host, counts);
    counts.pending += 1;
    counts.all += 1;
    let isPending = true;
    const settle = (): void => {
      if (isPending) counts.pending -= 1;
      isPending = false;
    };
    this.#settling.set(connection, settle);
    connection.addEventListener('close', () => {
      settle();
      counts.all -= 1;
      if (counts.all === 0) this.#hosts.delete(host);
    });
    return false;
  }

  /** The handshake of the connection is done. */
  established(connection: MultiaddrConnection): void {
    this.#settling.get(connection)?.();
  }
}
