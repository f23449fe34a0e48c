import { decodePeer } from '../dht/dht-messages.ts';
import type { WirePeer } from '../dht/dht-messages.ts';
import { field, fields, numberField } from '../dht/protobuf.ts';
import { MAX_ANNOUNCEMENT_BYTES } from './announcement.ts';

/**
 * Carries announcements in networks where a provider is not connected with all that are to keep its records. A stream
 * takes one request after another, each a length-prefixed protobuf message with one answer; `pull` has several answers.
 * Nodes of Spegel do not speak it: they are sent records by the DHT's own protocol.
 */
export const ANNOUNCE_PROTOCOL = '/peerglass/announce/1.0.0';

/** Types of messages. */
export const ANNOUNCE = {
  /** From the provider: take this, and pass it on to one half of those near you. */
  announce: 1,
  /** From a carrier: take this. */
  pass: 2,
  /** From a node that joins: hand over what is near this point. */
  pull: 3,
  /** The answer to all three; the last one to `pull`. */
  done: 4,
  /** An answer to `pull` before the last. */
  held: 5,
} as const;

/** Upper bound for a message, in bytes. */
export const MAX_MESSAGE_BYTES = MAX_ANNOUNCEMENT_BYTES + 1024;
/** Maximum number of strangers in an answer. */
const MAX_STRANGERS = 20;

const FIELD_TYPE = 1;
const FIELD_ENVELOPE = 2;
const FIELD_HALF = 3;
const FIELD_POINT = 4;
const FIELD_DISTANCE = 5;
const FIELD_TAKEN = 6;
const FIELD_STRANGER = 7;
const FIELD_AGE = 8;
const FIELD_SEQUENCE = 9;
const FIELD_COMPLETE = 10;

/** The fields of a message; which of them it has depends on its type. */
export interface AnnounceMessage {
  readonly type: number;
  readonly envelope: Uint8Array;
  /** 0 or 1. */
  readonly half: number;
  /** The first 32 bits of the point of `pull`. */
  readonly point: number;
  readonly distance: number;
  /** How many peers have taken the announcement, the one that answers included. */
  readonly taken: number;
  /** Peers that do not speak the protocol. */
  readonly strangers: readonly WirePeer[];
  /** How long ago it was announced, in milliseconds. */
  readonly ageMs: number;
  /** In the answer to an announcement that was not taken: the later sequence of its provider. */
  readonly sequence: number;
  /** In the last answer to `pull`, 1: the peer has got the records that it is to keep itself. */
  readonly complete: number;
}

/** Parts of a message. Strangers are encoded already, as the address book has them. */
export interface AnnounceParts extends Partial<Omit<AnnounceMessage, 'strangers' | 'type'>> {
  readonly type: number;
  readonly strangers?: readonly Uint8Array[];
}

/** Encodes a message; a field that is left out is 0 or empty. */
export function encodeAnnounce(message: AnnounceParts): Uint8Array {
  const parts = [numberField(FIELD_TYPE, message.type)];
  if (message.envelope !== undefined) parts.push(field(FIELD_ENVELOPE, message.envelope));
  const numbers = [
    [FIELD_HALF, message.half],
    [FIELD_POINT, message.point],
    [FIELD_DISTANCE, message.distance],
    [FIELD_TAKEN, message.taken],
    [FIELD_AGE, message.ageMs],
    [FIELD_SEQUENCE, message.sequence],
    [FIELD_COMPLETE, message.complete],
  ] as const;
  for (const [number, value] of numbers) {
    if (value !== undefined) parts.push(numberField(number, Math.round(value)));
  }
  for (const stranger of message.strangers ?? []) parts.push(field(FIELD_STRANGER, stranger));
  return Buffer.concat(parts);
}

/**
 * Decodes a message. Lists are cut at their bounds; unknown fields are skipped.
 *
 * @throws {FrameError} when the bytes are not a protobuf message
 */
export function decodeAnnounce(bytes: Uint8Array): AnnounceMessage {
  const numbers = new Map<number, number>();
  let envelope: Uint8Array = new Uint8Array(0);
  const strangers: WirePeer[] = [];
  for (const { number, value } of fields(bytes)) {
    if (typeof value === 'number') numbers.set(number, value);
    else if (number === FIELD_ENVELOPE) envelope = value;
    else if (number === FIELD_STRANGER && strangers.length < MAX_STRANGERS) {
      strangers.push(decodePeer(value));
    }
  }
  const numberOf = (number: number): number => numbers.get(number) ?? 0;
  return {
    type: numberOf(FIELD_TYPE),
    envelope,
    half: numberOf(FIELD_HALF),
    point: numberOf(FIELD_POINT),
    distance: numberOf(FIELD_DISTANCE),
    taken: numberOf(FIELD_TAKEN),
    strangers,
    ageMs: numberOf(FIELD_AGE),
    sequence: numberOf(FIELD_SEQUENCE),
    complete: numberOf(FIELD_COMPLETE),
  };
}
