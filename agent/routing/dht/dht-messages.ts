import { encodeVarint } from './frames.ts';
import { field, fields, LENGTH_DELIMITED, numberField } from './protobuf.ts';

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
const FIELD_ESTABLISHED = 1002;
const PEER_ID = 1;
const PEER_MULTIADDRS = 2;
const EMPTY: Uint8Array = new Uint8Array(0);
const PROVIDERS_ONLY = Uint8Array.from([...encodeVarint(FIELD_PROVIDERS_ONLY * 8), 1]);
const CLOSER_THAN = encodeVarint(FIELD_CLOSER_THAN * 8);
const ESTABLISHED = numberField(FIELD_ESTABLISHED, 1);
const NOT_ESTABLISHED = numberField(FIELD_ESTABLISHED, 2);

/** First bytes of an ADD_PROVIDER whose key is a SHA2-256 multihash, and the offset of the bytes after the key. */
const REPEAT_HEAD = [
  FIELD_TYPE << 3,
  MESSAGE_TYPE.addProvider,
  (FIELD_KEY << 3) | LENGTH_DELIMITED,
  34,
];
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
  /**
   * Whether the node that answers has the records that it is to keep, by its own word. Undefined when it does not say,
   * as Spegel's nodes.
   */
  readonly established: boolean | undefined;
}

/** Parts of an answer. {@link encodePeer} encodes the peers. */
export interface AnswerParts {
  readonly type: number;
  readonly key: Uint8Array;
  readonly closer: readonly Uint8Array[];
  readonly providers: readonly Uint8Array[];
  /** See {@link DhtMessage}; default: the answer does not say. */
  readonly established?: boolean;
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

/** Whether {@link keyOfRepeat} reads the key of this message where decoding finds it: there is no second one. */
export function isRepeatable(bytes: Uint8Array, { key }: Pick<DhtMessage, 'key'>): boolean {
  const first = keyOfRepeat(bytes, bytes);
  return first !== undefined && Buffer.compare(first, key) === 0;
}

/**
 * Reads the key of an ADD_PROVIDER message that differs from the previous one in the key only. A reprovide sends
 * thousands of those; comparing bytes is much cheaper than decoding each.
 *
 * @param previous a message that {@link isRepeatable}
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
export function encodeAnswer({
  type,
  key,
  closer,
  providers,
  established,
}: AnswerParts): Uint8Array {
  return Buffer.concat([
    typeField(type),
    field(FIELD_KEY, key),
    ...closer.map((peer) => field(FIELD_CLOSER, peer)),
    ...providers.map((peer) => field(FIELD_PROVIDERS, peer)),
    ...(established === undefined ? [] : [established ? ESTABLISHED : NOT_ESTABLISHED]),
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
  let established: boolean | undefined;
  for (const { number, value } of fields(bytes)) {
    if (typeof value === 'number') {
      if (number === FIELD_TYPE) type = value;
      else if (number === FIELD_PROVIDERS_ONLY) providersOnly = value !== 0;
      else if (number === FIELD_CLOSER_THAN) closerThan = value;
      else if (number === FIELD_ESTABLISHED) established = value === 1;
    } else if (number === FIELD_KEY) {
      key = value;
    } else if (number === FIELD_CLOSER && closer.length < MAX_PEERS_PER_LIST) {
      closer.push(decodePeer(value));
    } else if (number === FIELD_PROVIDERS && providers.length < MAX_PEERS_PER_LIST) {
      providers.push(decodePeer(value));
    }
  }
  return { type, key, closer, providers, providersOnly, closerThan, established };
}

/** Decodes a peer of the lists of a message. */
export function decodePeer(bytes: Uint8Array): WirePeer {
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
