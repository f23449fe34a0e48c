import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { FrameError } from '../../routing/dht/frames.ts';
import { field, numberField } from '../../routing/dht/protobuf.ts';
import {
  decodeTagDecision,
  decodeTagQuestion,
  encodeTagDecision,
  encodeTagQuestion,
  MAX_TAG_MESSAGE_BYTES,
} from './tag-messages.ts';
import type { TagDecision, TagQuestion } from './tag-question.ts';

const digest = parseDigest(`sha512:${'a7'.repeat(64)}`);
assert.ok(digest);
const MANIFEST: Descriptor = { mediaType: MEDIA_TYPE.dockerList, digest, size: 4 * 1024 * 1024 };
const WANTS: TagQuestion = { tag: '0f'.repeat(32), state: 'wants', id: 2 ** 32 - 1, canAsk: true };
const KNOWS: TagQuestion = { ...WANTS, state: 'knows', canAsk: false, manifest: MANIFEST };
const KNOWN: TagDecision = { kind: 'known', manifest: MANIFEST };

const text = (number: number, value: string): Uint8Array => field(number, Buffer.from(value));
const changed = (bytes: Uint8Array, ...parts: Uint8Array[]): Uint8Array =>
  Buffer.concat([bytes, ...parts]);

/** Fields of a manifest that no registry could name. */
const FALSE_MANIFESTS: readonly Uint8Array[] = [
  text(5, 'sha256:0f'),
  text(5, `sha256:${'0f'.repeat(32)}\n`),
  text(5, `sha512:${'a'.repeat(200)}`),
  text(6, 'text/html'),
  text(6, 'application/octet-stream'),
  text(6, 'a'.repeat(97)),
  numberField(7, 0),
  numberField(7, 4 * 1024 * 1024 + 1),
];

describe('questions about tags', () => {
  it('survive the wire, and stay within the bound', () => {
    const others = (['asks', 'failed', 'refused'] as const).map((state) => ({ ...WANTS, state }));
    for (const question of [WANTS, KNOWS, { ...WANTS, canAsk: false, id: 0 }, ...others]) {
      const bytes = encodeTagQuestion(question);
      assert.deepEqual(decodeTagQuestion(bytes), question);
      assert.ok(bytes.length <= MAX_TAG_MESSAGE_BYTES);
    }
  });

  it('have fields skipped that are unknown, or not for their state', () => {
    const more = changed(
      encodeTagQuestion(WANTS),
      numberField(30, 1),
      text(31, 'new'),
      text(5, 'x'),
    );
    assert.deepEqual(decodeTagQuestion(more), WANTS);
  });

  it('are refused without a hash, a state or a number within its bounds', () => {
    for (const part of [
      text(1, 'docker.io/library/alpine:3'),
      text(1, '0F'.repeat(32)),
      numberField(2, 0),
      numberField(2, 6),
      numberField(3, 2 ** 32),
    ]) {
      assert.throws(() => decodeTagQuestion(changed(encodeTagQuestion(WANTS), part)), FrameError);
    }
    assert.throws(() => decodeTagQuestion(new Uint8Array(0)), FrameError);
  });

  it('are refused with a manifest that is none', () => {
    for (const part of FALSE_MANIFESTS) {
      assert.throws(() => decodeTagQuestion(changed(encodeTagQuestion(KNOWS), part)), FrameError);
    }
    const without = encodeTagQuestion({ ...WANTS, state: 'knows' });
    assert.throws(() => decodeTagQuestion(without), FrameError);
  });
});

describe('answers about tags', () => {
  it('survive the wire, and stay within the bound', () => {
    for (const answer of [
      { kind: 'ask', againMs: 130 },
      { kind: 'wait', againMs: 25 },
      { kind: 'alone' },
      KNOWN,
    ] as const) {
      const bytes = encodeTagDecision(answer);
      assert.deepEqual(decodeTagDecision(bytes), answer);
      assert.ok(bytes.length <= MAX_TAG_MESSAGE_BYTES);
    }
  });

  it('are to ask alone when their kind is not known', () => {
    assert.deepEqual(decodeTagDecision(numberField(1, 9)), { kind: 'alone' });
    assert.deepEqual(decodeTagDecision(new Uint8Array(0)), { kind: 'alone' });
  });

  it('are refused with a manifest that is none', () => {
    for (const part of FALSE_MANIFESTS) {
      assert.throws(() => decodeTagDecision(changed(encodeTagDecision(KNOWN), part)), FrameError);
    }
  });
});
