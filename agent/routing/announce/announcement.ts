import type { PeerId, PrivateKey } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { RecordEnvelope } from '@libp2p/peer-record';

import { FrameError } from '../dht/frames.ts';
import { multihashOf, targetOf } from '../dht/key.ts';
import { field, fields, numberField } from '../dht/protobuf.ts';

/** Separates these signatures from all others that libp2p makes with the same key. */
const DOMAIN = 'peerglass-announcement';
/** The type of the payload, in libp2p's private range of multicodec. */
const PAYLOAD_TYPE = Uint8Array.of(0x30, 0x01);

/** Maximum number of keys in an announcement, and of those that it withdraws. */
export const MAX_ANNOUNCED_KEYS = 256;
/** Upper bound for a sealed announcement, in bytes. */
export const MAX_ANNOUNCEMENT_BYTES = 20 * 1024;
/** Maximum number of addresses of its provider. */
const MAX_ADDRESSES = 16;
const DIGEST_BYTES = 32;

const FIELD_ADDRESS = 1;
const FIELD_SEQUENCE = 2;
const FIELD_LABEL = 3;
const FIELD_PROVIDED = 4;
const FIELD_WITHDRAWN = 5;

/** What a provider says of its keys in one part of the key space. */
export interface Announcement {
  /** Where the provider is: binary multiaddrs. */
  readonly multiaddrs: readonly Uint8Array[];
  /** Grows with each announcement of the provider. A holder takes no older one, which may be repeated by others. */
  readonly sequence: number;
  /** Chosen by the provider. An announcement replaces that before it with the same label. */
  readonly label: number;
  /** Record keys (see `recordKeyOf`) that the provider holds, all of them under this label. */
  readonly provided: readonly string[];
  /** Record keys that it does not hold any more. */
  readonly withdrawn: readonly string[];
}

/** An announcement whose signature is that of its provider. */
export interface SignedAnnouncement extends Announcement {
  readonly provider: PeerId;
  /** As it is sent from peer to peer: a libp2p signed envelope. */
  readonly envelope: Uint8Array;
}

/** Signs an announcement (libp2p RFC 0002 "signed envelopes"). */
export async function sealAnnouncement(
  announcement: Announcement,
  privateKey: PrivateKey,
): Promise<SignedAnnouncement> {
  const record = {
    domain: DOMAIN,
    codec: PAYLOAD_TYPE,
    marshal: () => encode(announcement),
    equals: () => false,
  };
  const sealed = await RecordEnvelope.seal(record, privateKey);
  const provider = peerIdFromPublicKey(privateKey.publicKey);
  return { ...announcement, provider, envelope: sealed.marshal() };
}

/**
 * Reads an announcement and checks its signature.
 *
 * @throws {FrameError} when it is malformed, above its bounds, or not signed by its provider
 */
export async function openAnnouncement(envelope: Uint8Array): Promise<SignedAnnouncement> {
  if (envelope.length > MAX_ANNOUNCEMENT_BYTES) throw new FrameError('announcement too long');
  const opened = readEnvelope(envelope);
  const { payload, payloadType, publicKey } = opened;
  // The keys of our nodes. The signatures of others take several times as long to check.
  if (publicKey.type !== 'Ed25519') throw new FrameError('no Ed25519 signature');
  if (!(await isSigned(opened))) throw new FrameError('wrong signature');
  if (Buffer.compare(payloadType, PAYLOAD_TYPE) !== 0) throw new FrameError('no announcement');
  return { ...decode(payload), provider: peerIdFromPublicKey(publicKey), envelope };
}

/** The reader of libp2p throws errors of several kinds, such as `RangeError`. */
function readEnvelope(envelope: Uint8Array): RecordEnvelope {
  try {
    return RecordEnvelope.createFromProtobuf(envelope);
  } catch (cause) {
    throw new FrameError('not a signed envelope', { cause });
  }
}

async function isSigned(envelope: RecordEnvelope): Promise<boolean> {
  try {
    return await envelope.validate(DOMAIN);
  } catch {
    // A signature of another length than Ed25519 has is a `TypeError` of libp2p.
    return false;
  }
}

/** Returns the point of a record key in the key space. */
export function targetOfRecord(recordKey: string): number {
  return targetOf(multihashOf(recordKey));
}

function encode({ multiaddrs, sequence, label, provided, withdrawn }: Announcement): Uint8Array {
  return Buffer.concat([
    ...multiaddrs.slice(0, MAX_ADDRESSES).map((address) => field(FIELD_ADDRESS, address)),
    numberField(FIELD_SEQUENCE, sequence),
    numberField(FIELD_LABEL, label),
    field(FIELD_PROVIDED, Buffer.from(provided.join(''), 'latin1')),
    field(FIELD_WITHDRAWN, Buffer.from(withdrawn.join(''), 'latin1')),
  ]);
}

function decode(payload: Uint8Array): Announcement {
  const multiaddrs: Uint8Array[] = [];
  let sequence = 0;
  let label = 0;
  let provided: string[] = [];
  let withdrawn: string[] = [];
  for (const { number, value } of fields(payload)) {
    if (typeof value === 'number') {
      if (number === FIELD_SEQUENCE) sequence = value;
      else if (number === FIELD_LABEL) label = value;
    } else if (number === FIELD_ADDRESS && multiaddrs.length < MAX_ADDRESSES) {
      multiaddrs.push(value);
    } else if (number === FIELD_PROVIDED) provided = recordKeys(value);
    else if (number === FIELD_WITHDRAWN) withdrawn = recordKeys(value);
  }
  return { multiaddrs, sequence, label, provided, withdrawn };
}

function recordKeys(bytes: Uint8Array): string[] {
  const count = bytes.length / DIGEST_BYTES;
  if (!Number.isInteger(count) || count > MAX_ANNOUNCED_KEYS) {
    throw new FrameError('announcement with a wrong number of keys');
  }
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // Not parts of one string: a record that is kept would keep all of it in memory.
  return Array.from({ length: count }, (_, at) =>
    buffer.toString('latin1', at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES),
  );
}
