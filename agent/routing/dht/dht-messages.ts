import { encodeVarint, FrameError } from './frames.ts';

/**
 * Message types of the Kademlia DHT (libp2p specification "kad-dht", section "RPC messages"). This file is a codec
 * by hand, for three reasons: a reprovide writes thousands of messages that differ in the key only; answers are
 * assembled from parts that are encoded already; and lists are cut at their bounds while they are read.
 */
export const MESSAGE_TYPE = {
  putValue: 0,
  getValue: 1,
  addProvider: 2,
  getProviders: 3,
  findNode: 4,
  ping: 5,
} as const;

/** Upper bound for the peers that are read from one list; a well-behaved node sends at most 20 closer peers. */
export const MAX_PEERS_PER_LIST = 128;
/** Upper bound for the addresses that are read of one peer. */
const MAX_ADDRESSES_PER_PEER = 16;

const FIELD_TYPE = 1;
const FIELD_KEY = 2;
const FIELD_CLOSER = 8;
const FIELD_PROVIDERS = 9;
/** Our extensions; other implementations skip them, as protobuf requires for unknown fields. */
const FIELD_PROVIDERS_ONLY = 1000;
const FIELD_CLOSER_THAN = 1001;
const PEER_ID = 1;
const PEER_MULTIADDRS = 2;
const WIRE_BYTES = 2;
const EMPTY: Uint8Array = new Uint8Array(0);
const PROVIDERS_ONLY = Uint8Array.from([...encodeVarint(FIELD_PROVIDERS_ONLY * 8), 1]);
const CLOSER_THAN = encodeVarint(FIELD_CLOSER_THAN * 8);

/** First bytes of an ADD_PROVIDER whose key is a SHA2-256 multihash, and the offset of the bytes after the key. */
const REPEAT_HEAD = [FIELD_TYPE << 3, MESSAGE_TYPE.addProvider, (FIELD_KEY << 3) | WIRE_BYTES, 34];
const REPEAT_TAIL = 4 + 34;

/** A peer in a message. Neither field is validated. */
export interface WirePeer {
  /** The multihash of the peer ID. */
  readonly id: Uint8Array;
  readonly multiaddrs: readonly Uint8Array[];
}

/** The fields of a DHT message that we use. */
export interface DhtMessage {
  readonly type: number;
  /** A multihash; for FIND_NODE that of a peer ID, or any bytes. Empty when the message has none. */
  readonly key: Uint8Array;
  readonly closer: readonly WirePeer[];
  readonly providers: readonly WirePeer[];
  /** Whether the requester asks to leave out closer peers, which are most of an answer. */
  readonly providersOnly: boolean;
  /** With `providersOnly`: closer peers at a smaller distance than this are named all the same. Default: none. */
  readonly closerThan: number;
}

/** Parts of an answer. {@link encodePeer} encodes the peers. */
export interface AnswerParts {
  readonly type: number;
  readonly key: Uint8Array;
  readonly closer: readonly Uint8Array[];
  readonly providers: readonly Uint8Array[];
}

/** Encodes a peer for the lists of a message. */
export function encodePeer({ id, multiaddrs }: WirePeer): Uint8Array {
  return Buffer.concat([
    field(PEER_ID, id),
    ...multiaddrs.map((address) => field(PEER_MULTIADDRS, address)),
  ]);
}

/** Encodes the part of ADD_PROVIDER after the key, which is the same for all keys of a reprovide. */
export function encodeProvider(provider: WirePeer): Uint8Array {
  return field(FIELD_PROVIDERS, encodePeer(provider));
}

/** Encodes ADD_PROVIDER for one key; `provider` comes from {@link encodeProvider}. */
export function encodeAddProvider(multihash: Uint8Array, provider: Uint8Array): Uint8Array {
  return Buffer.concat([
    typeField(MESSAGE_TYPE.addProvider),
    field(FIELD_KEY, multihash),
    provider,
  ]);
}

/**
 * Reads the key of an ADD_PROVIDER message that differs from the previous one in the key only. A reprovide sends
 * thousands of those; comparing bytes is much cheaper than decoding each.
 *
 * @returns undefined when more than the key differs, or the key is no SHA2-256 multihash
 */
export function keyOfRepeat(bytes: Uint8Array, previous: Uint8Array): Uint8Array | undefined {
  if (bytes.length !== previous.length || bytes.length <= REPEAT_TAIL) return undefined;
  for (const [at, byte] of REPEAT_HEAD.entries()) if (bytes[at] !== byte) return undefined;
  if (Buffer.compare(bytes.subarray(REPEAT_TAIL), previous.subarray(REPEAT_TAIL)) !== 0) {
    return undefined;
  }
  return bytes.subarray(REPEAT_HEAD.length, REPEAT_TAIL);
}

/**
 * Encodes GET_PROVIDERS for one key.
 *
 * @param closerThan asks for an answer with those closer peers only whose distance is smaller, by their first 32 bits;
 *   other implementations answer in full. Default: all of the closest peers
 */
export function encodeGetProviders(multihash: Uint8Array, closerThan?: number): Uint8Array {
  return Buffer.concat([
    typeField(MESSAGE_TYPE.getProviders),
    field(FIELD_KEY, multihash),
    ...(closerThan === undefined ? [] : [PROVIDERS_ONLY]),
    ...(closerThan === undefined || closerThan === 0
      ? []
      : [Uint8Array.from([...CLOSER_THAN, ...encodeVarint(closerThan)])]),
  ]);
}

/** Encodes FIND_NODE. The distance of peers is that to the SHA2-256 of `key`, which may be any bytes. */
export function encodeFindNode(key: Uint8Array): Uint8Array {
  return Buffer.concat([typeField(MESSAGE_TYPE.findNode), field(FIELD_KEY, key)]);
}

/** Encodes PING. Its answer confirms that the peer has handled all earlier messages of the stream. */
export function encodePing(): Uint8Array {
  return typeField(MESSAGE_TYPE.ping);
}

/** Encodes an answer to GET_PROVIDERS, FIND_NODE or GET_VALUE (which is always without a value). */
export function encodeAnswer({ type, key, closer, providers }: AnswerParts): Uint8Array {
  return Buffer.concat([
    typeField(type),
    field(FIELD_KEY, key),
    ...closer.map((peer) => field(FIELD_CLOSER, peer)),
    ...providers.map((peer) => field(FIELD_PROVIDERS, peer)),
  ]);
}

/**
 * Decodes a message. Lists are cut at their bounds; unknown fields are skipped.
 *
 * @throws {FrameError} when the bytes are not a protobuf message
 */
export function decodeDhtMessage(bytes: Uint8Array): DhtMessage {
  let type = 0;
  let key = EMPTY;
  const closer: WirePeer[] = [];
  const providers: WirePeer[] = [];
  let providersOnly = false;
  let closerThan = 0;
  for (const { number, value } of fields(bytes)) {
    if (typeof value === 'number') {
      if (number === FIELD_TYPE) type = value;
      else if (number === FIELD_PROVIDERS_ONLY) providersOnly = value !== 0;
      else if (number === FIELD_CLOSER_THAN) closerThan = value;
    } else if (number === FIELD_KEY) {
      key = value;
    } else if (number === FIELD_CLOSER && closer.length < MAX_PEERS_PER_LIST) {
      closer.push(decodePeer(value));
    } else if (number === FIELD_PROVIDERS && providers.length < MAX_PEERS_PER_LIST) {
      providers.push(decodePeer(value));
    }
  }
  return { type, key, closer, providers, providersOnly, closerThan };
}

function decodePeer(bytes: Uint8Array): WirePeer {
  let id = EMPTY;
  const multiaddrs: Uint8Array[] = [];
  for (const { number, value } of fields(bytes)) {
    if (typeof value === 'number') continue;
    if (number === PEER_ID) id = value;
    else if (number === PEER_MULTIADDRS && multiaddrs.length < MAX_ADDRESSES_PER_PEER) {
      multiaddrs.push(value);
    }
  }
  return { id, multiaddrs };
}

function typeField(type: number): Uint8Array {
  return Uint8Array.of(FIELD_TYPE << 3, type);
}

function field(number: number, bytes: Uint8Array): Uint8Array {
  const tag = [(number << 3) | WIRE_BYTES, ...encodeVarint(bytes.length)];
  return Buffer.concat([Uint8Array.from(tag), bytes]);
}

/** Yields the fields of a protobuf message: varints as numbers, length-delimited fields as bytes; skips others. */
function* fields(bytes: Uint8Array): Generator<{ number: number; value: number | Uint8Array }> {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new FrameError('message ends early');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = take(1)[0] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    throw new FrameError('number too long');
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield { number, value: varint() };
        break;
      case 1:
        take(8);
        break;
      case 2:
        yield { number, value: take(varint()) };
        break;
      case 5:
        take(4);
        break;
      default:
        throw new FrameError('not a protobuf message');
    }
  }
}
