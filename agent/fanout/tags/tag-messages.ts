import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest } from '../../oci/digest.ts';
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts';
import { isManifestType } from '../../oci/media-type.ts';
import { FrameError } from '../../routing/dht/frames.ts';
import { numberField } from '../../routing/dht/protobuf.ts';
import { Fields, textField } from '../wire/fields.ts';
import type { TagDecision, TagQuestion, TagState } from './tag-question.ts';

/** Upper bound for a question and for an answer, in bytes. */
export const MAX_TAG_MESSAGE_BYTES = 512;
/** Longer digests and media types there are none of, in bytes. */
const MAX_DIGEST_BYTES = 160;
const MAX_TYPE_BYTES = 96;
/** Largest number of a resolve. */
const MAX_ID = 2 ** 32 - 1;

const TAG = /^[0-9a-f]{64}$/;

/** Numbers of the states on the wire. 0 is none, as in protobuf. */
const STATES: readonly (TagState | undefined)[] = [
  undefined,
  'wants',
  'asks',
  'knows',
  'failed',
  'refused',
];
/** Numbers of the answers on the wire. A node that does not know a kind does as if there were no coordinator. */
const KINDS: readonly (TagDecision['kind'] | undefined)[] = [
  undefined,
  'ask',
  'wait',
  'known',
  'alone',
];

const QUESTION = { tag: 1, state: 2, id: 3, canAsk: 4 } as const;
const ANSWER = { kind: 1, againMs: 2 } as const;
/** The same in both: a manifest that a tag means. */
const MANIFEST = { digest: 5, mediaType: 6, size: 7 } as const;

/** Encodes what a node tells the coordinator of a tag. */
export function encodeTagQuestion({ tag, state, id, canAsk, manifest }: TagQuestion): Uint8Array {
  return Buffer.concat([
    textField(QUESTION.tag, tag),
    numberField(QUESTION.state, STATES.indexOf(state)),
    numberField(QUESTION.id, id),
    numberField(QUESTION.canAsk, Number(canAsk)),
    ...(manifest === undefined ? [] : encodeManifest(manifest)),
  ]);
}

/**
 * Decodes what a node tells the coordinator of a tag; unknown fields are skipped.
 *
 * @throws {FrameError} when the bytes are no such message, or one of its fields is beyond its bounds
 */
export function decodeTagQuestion(bytes: Uint8Array): TagQuestion {
  const read = new Fields(bytes);
  const tag = read.text(QUESTION.tag, 64) ?? '';
  const state = STATES[read.number(QUESTION.state) ?? 0];
  const id = read.number(QUESTION.id) ?? 0;
  if (!TAG.test(tag)) throw new FrameError('not the hash of a tag');
  if (state === undefined) throw new FrameError('not a state of a resolve');
  if (id > MAX_ID) throw new FrameError('not the number of a resolve');
  const canAsk = read.number(QUESTION.canAsk) === 1;
  return { tag, state, id, canAsk, ...(state === 'knows' && { manifest: decodeManifest(read) }) };
}

/** Encodes what the coordinator answers. */
export function encodeTagDecision(decision: TagDecision): Uint8Array {
  const parts = [numberField(ANSWER.kind, KINDS.indexOf(decision.kind))];
  if ('againMs' in decision) parts.push(numberField(ANSWER.againMs, Math.round(decision.againMs)));
  if (decision.kind === 'known') parts.push(...encodeManifest(decision.manifest));
  return Buffer.concat(parts);
}

/**
 * Decodes what the coordinator answers; unknown fields are skipped. A kind that this node does not know is `alone`.
 *
 * @throws {FrameError} when the bytes are no such message, or one of its fields is beyond its bounds
 */
export function decodeTagDecision(bytes: Uint8Array): TagDecision {
  const read = new Fields(bytes);
  const kind = KINDS[read.number(ANSWER.kind) ?? 0];
  switch (kind) {
    case 'ask':
    case 'wait':
      return { kind, againMs: read.number(ANSWER.againMs) ?? 0 };
    case 'known':
      return { kind, manifest: decodeManifest(read) };
    case 'alone':
    case undefined:
      return { kind: 'alone' };
  }
}

function encodeManifest({ digest, mediaType, size }: Descriptor): Uint8Array[] {
  return [
    textField(MANIFEST.digest, digest),
    textField(MANIFEST.mediaType, mediaType),
    numberField(MANIFEST.size, size),
  ];
}

/** @throws {FrameError} when it is no manifest that a registry could name */
function decodeManifest(read: Fields): Descriptor {
  const digest = parseDigest(read.text(MANIFEST.digest, MAX_DIGEST_BYTES) ?? '');
  const mediaType = read.text(MANIFEST.mediaType, MAX_TYPE_BYTES) ?? '';
  const size = read.number(MANIFEST.size) ?? 0;
  if (digest === undefined) throw new FrameError('not a digest');
  if (!isManifestType(mediaType)) throw new FrameError('not the type of a manifest');
  if (size < 1 || size > MAX_MANIFEST_BYTES) throw new FrameError('not the size of a manifest');
  return { mediaType, digest, size };
}
