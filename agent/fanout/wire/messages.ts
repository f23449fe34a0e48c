import { parseDigest } from '../../oci/digest.ts';
import { FrameError } from '../../routing/dht/frames.ts';
import { field, numberField } from '../../routing/dht/protobuf.ts';
import { MAX_FAILED } from '../question.ts';
import type { DownloadState, Member, Question, Decision } from '../question.ts';
import { Fields, textField } from './fields.ts';

/** Upper bound for a message, in bytes: a question or an answer with all its fields at their bounds takes 2 KB. */
export const MAX_MESSAGE_BYTES = 4096;
/** Members in an answer; further ones are left out. */
export const MAX_HOLDERS = 4;
/** Origins of a member; further ones are left out. */
export const MAX_ORIGINS = 3;
/** Characters of an origin. */
const MAX_ORIGIN_LENGTH = 128;
/** Characters of a peer ID: those of ed25519 keys have 52. */
const MAX_PEER_ID_LENGTH = 64;
/** Bytes of the name of a zone. Kubernetes allows 63 for the value of a label. */
const MAX_ZONE_BYTES = 128;
/** Longer digests there are none of. */
const MAX_DIGEST_BYTES = 256;

/** An ID in base58, of whatever kind of key. */
const PEER_ID = /^[1-9A-HJ-NP-Za-km-z]+$/;
/** Scheme and authority, and nothing that a URL could hide there. */
const ORIGIN = /^https?:\/\/[0-9A-Za-z.:[\]-]+$/;

/** Numbers of the states on the wire. 0 is none, as in protobuf. */
const STATES: readonly (DownloadState | undefined)[] = [
  undefined,
  'wants',
  'fetching',
  'following',
  'held',
  'failed',
  'wrong',
];
/** Numbers of the answers on the wire. A node that does not know a kind does as if there were no arbiter. */
const KINDS: readonly (Decision['kind'] | undefined)[] = [
  undefined,
  'fetch',
  'follow',
  'held',
  'go-on',
  'alone',
];

const QUESTION = {
  digest: 1,
  state: 2,
  offset: 3,
  size: 4,
  parent: 5,
  failed: 6,
  canFetch: 7,
  children: 8,
  isRoomy: 9,
  zone: 10,
} as const;
const ANSWER = { kind: 1, renewMs: 2, member: 3, forMs: 4 } as const;
const MEMBER = { peerId: 1, origin: 2 } as const;

/** Encodes what a node tells the arbiter. What an arbiter would refuse is left out of `failed` and `zone`. */
export function encodeQuestion(question: Question): Uint8Array {
  const { size, parent } = question;
  const parts = [
    textField(QUESTION.digest, question.digest),
    numberField(QUESTION.state, STATES.indexOf(question.state)),
    numberField(QUESTION.offset, question.offset),
  ];
  if (size !== undefined) parts.push(numberField(QUESTION.size, size));
  if (parent !== undefined) parts.push(textField(QUESTION.parent, parent));
  for (const peerId of question.failed.filter(isPeerId).slice(0, MAX_FAILED)) {
    parts.push(textField(QUESTION.failed, peerId));
  }
  parts.push(
    numberField(QUESTION.canFetch, Number(question.canFetch)),
    numberField(QUESTION.children, question.children),
    numberField(QUESTION.isRoomy, Number(question.isRoomy)),
  );
  const zone = Buffer.from(question.zone);
  if (zone.length > 0 && zone.length <= MAX_ZONE_BYTES) parts.push(field(QUESTION.zone, zone));
  return Buffer.concat(parts);
}

/**
 * Decodes what a node tells the arbiter. Further peer IDs than {@link MAX_FAILED} are left out; unknown fields are skipped.
 *
 * @throws {FrameError} when the bytes are no such message, or one of its fields is beyond its bounds
 */
export function decodeQuestion(bytes: Uint8Array): Question {
  const read = new Fields(bytes);
  const digest = parseDigest(read.text(QUESTION.digest, MAX_DIGEST_BYTES) ?? '');
  const state = STATES[read.number(QUESTION.state) ?? 0];
  if (digest === undefined) throw new FrameError('not a digest');
  if (state === undefined) throw new FrameError('not the state of a download');
  const size = read.number(QUESTION.size);
  const parent = read.text(QUESTION.parent, MAX_PEER_ID_LENGTH);
  return {
    digest,
    state,
    offset: read.number(QUESTION.offset) ?? 0,
    ...(size !== undefined && { size }),
    ...(parent !== undefined && { parent: peerIdOf(parent) }),
    failed: read.texts(QUESTION.failed, MAX_FAILED, MAX_PEER_ID_LENGTH).map(peerIdOf),
    canFetch: read.number(QUESTION.canFetch) === 1,
    children: read.number(QUESTION.children) ?? 0,
    isRoomy: read.number(QUESTION.isRoomy) === 1,
    zone: read.text(QUESTION.zone, MAX_ZONE_BYTES) ?? '',
  };
}

/** Encodes what the arbiter answers. */
export function encodeDecision(decision: Decision): Uint8Array {
  const parts = [numberField(ANSWER.kind, KINDS.indexOf(decision.kind))];
  const add = (member: Member): void => {
    parts.push(field(ANSWER.member, encodeMember(member)));
  };
  if ('renewMs' in decision) parts.push(numberField(ANSWER.renewMs, Math.round(decision.renewMs)));
  if (decision.kind === 'follow') add(decision.parent);
  if (decision.kind === 'held') decision.holders.slice(0, MAX_HOLDERS).forEach(add);
  if (decision.kind === 'alone') parts.push(numberField(ANSWER.forMs, Math.round(decision.forMs)));
  return Buffer.concat(parts);
}

/**
 * Decodes what the arbiter answers. Further members and origins than the bounds are left out, and origins that are none;
 * unknown fields are skipped. A kind that this node does not know is `alone`.
 *
 * @throws {FrameError} when the bytes are no such message, or one of its fields is beyond its bounds
 */
export function decodeDecision(bytes: Uint8Array): Decision {
  const read = new Fields(bytes);
  const kind = KINDS[read.number(ANSWER.kind) ?? 0];
  const renewMs = read.number(ANSWER.renewMs) ?? 0;
  switch (kind) {
    case 'fetch':
    case 'go-on':
      return { kind, renewMs };
    case 'follow': {
      const [parent] = read.bytes(ANSWER.member, 1);
      if (parent === undefined) throw new FrameError('no peer to follow');
      return { kind, renewMs, parent: decodeMember(parent) };
    }
    case 'held':
      return { kind, holders: read.bytes(ANSWER.member, MAX_HOLDERS).map(decodeMember) };
    case 'alone':
      return { kind, forMs: read.number(ANSWER.forMs) ?? 0 };
    case undefined:
      return { kind: 'alone', forMs: 0 };
  }
}

function encodeMember({ peerId, origins }: Member): Uint8Array {
  const named = origins.filter(isOrigin).slice(0, MAX_ORIGINS);
  return Buffer.concat([
    textField(MEMBER.peerId, peerId),
    ...named.map((origin) => textField(MEMBER.origin, origin)),
  ]);
}

function decodeMember(bytes: Uint8Array): Member {
  const read = new Fields(bytes);
  const origins = read.texts(MEMBER.origin, MAX_ORIGINS, MAX_MESSAGE_BYTES).filter(isOrigin);
  return { peerId: peerIdOf(read.text(MEMBER.peerId, MAX_PEER_ID_LENGTH) ?? ''), origins };
}

function isOrigin(text: string): boolean {
  return text.length <= MAX_ORIGIN_LENGTH && ORIGIN.test(text) && URL.canParse(text);
}

/** @throws {FrameError} when the text cannot be a peer ID */
function peerIdOf(text: string): string {
  if (!isPeerId(text)) throw new FrameError('not a peer ID');
  return text;
}

function isPeerId(text: string): boolean {
  return text.length <= MAX_PEER_ID_LENGTH && PEER_ID.test(text);
}
