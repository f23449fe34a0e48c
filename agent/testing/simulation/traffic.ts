import { DHT_PROTOCOL } from '../../routing/node/libp2p-node.ts';

/** What yamux (12 bytes) and noise (18 bytes) add to a message of a stream. */
export const MESSAGE_BYTES = 30;

/**
 * A dial with the real node: TCP payload of noise, yamux, multistream and identify in both directions, and the writes to
 * the socket. Measured between two real nodes on loopback, which announce one IPv4 address each, behind a proxy that
 * counts bytes and delays each by 20 ms. From the first byte on the dialler's connection was open after two round trips,
 * the other one half a round trip later, and each had identified its peer one round trip after that.
 */
export const DIAL = {
  dialler: { messages: 6, bytes: 1346 },
  listener: { messages: 5, bytes: 1344 },
};

/** What happens on the wire when a stream is opened, measured likewise: the bytes beside the name of the protocol. */
export const STREAM_OPEN = {
  opener: { messages: 2, bytes: 82 },
  listener: { messages: 2, bytes: 112 },
};

const MESSAGE_TYPES = [
  'PUT_VALUE',
  'GET_VALUE',
  'ADD_PROVIDER',
  'GET_PROVIDERS',
  'FIND_NODE',
  'PING',
];

/** Messages and their bytes on the wire. */
export interface Amount {
  messages: number;
  bytes: number;
}

/** The traffic of one node. */
export class Traffic {
  readonly sent: Amount = { messages: 0, bytes: 0 };
  readonly received: Amount = { messages: 0, bytes: 0 };
  /** Dials that it has begun. */
  dials = 0;
  /** Most connections at a time. */
  mostConnections = 0;

  /** Messages sent and received. */
  get messages(): number {
    return this.sent.messages + this.received.messages;
  }

  /** Bytes sent and received. */
  get bytes(): number {
    return this.sent.bytes + this.received.bytes;
  }
}

/** The traffic of a network by kind: `dial`, a message of the DHT, or the name of another protocol. */
export class TrafficByKind {
  readonly #kinds = new Map<string, Amount>();

  add(kind: string, { messages, bytes }: Amount): void {
    const amount = this.#kinds.get(kind);
    if (amount === undefined) this.#kinds.set(kind, { messages, bytes });
    else {
      amount.messages += messages;
      amount.bytes += bytes;
    }
  }

  /** The kinds, the one with most bytes first. */
  all(): [string, Amount][] {
    return [...this.#kinds].sort(([, a], [, b]) => b.bytes - a.bytes);
  }

  clear(): void {
    this.#kinds.clear();
  }
}

/** The kind of a write to a stream: by its first frame when it is one of the DHT. */
export function kindOf(protocol: string, data: Uint8Array): string {
  if (protocol !== DHT_PROTOCOL) return protocol;
  let at = 0;
  while ((data[at] ?? 0) >= 0x80) at++;
  // The first field of a message is its type.
  return (data[at + 1] === 8 ? MESSAGE_TYPES[data[at + 2] ?? -1] : undefined) ?? protocol;
}
