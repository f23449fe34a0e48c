import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import type { TagDecision, TagQuestion } from './tag-question.ts';
import { TagRounds } from './tag-rounds.ts';

const TAG = 'aa'.repeat(32);
const digest = parseDigest(`sha256:${'0f'.repeat(32)}`);
assert.ok(digest);
const MANIFEST: Descriptor = { mediaType: MEDIA_TYPE.ociManifest, digest, size: 500 };

let now: number;
let rounds: TagRounds;

beforeEach(() => {
  now = 1_000;
  rounds = new TagRounds({ now: () => now });
});

/** What the resolve of a node says, with the same number as long as it lasts. */
function say(
  node: string,
  state: TagQuestion['state'] = 'wants',
  fields: Partial<TagQuestion> = {},
): TagDecision {
  const question = { tag: TAG, state, id: 1, canAsk: true, ...fields };
  return rounds.answer(node, { ...question, ...(state === 'knows' && { manifest: MANIFEST }) });
}
const kind = (...args: Parameters<typeof say>): string => say(...args).kind;

describe('TagRounds', () => {
  it('lets the first node ask, and tells those that came while it did, each once', () => {
    assert.equal(kind('a'), 'ask');
    const others = Array.from({ length: 7 }, (_, at) => `b${at}`);
    for (const node of others) assert.equal(kind(node), 'wait');
    say('a', 'knows');
    for (const node of others) assert.deepEqual(say(node), { kind: 'known', manifest: MANIFEST });
    assert.deepEqual(rounds.size, { running: 0, waiting: 0 });
  });

  it('has the registry asked anew by who comes when the answer is there: a tag may have moved', () => {
    say('a');
    say('b');
    say('a', 'knows');
    assert.equal(kind('c'), 'ask');
    assert.equal(kind('a', 'wants', { id: 2 }), 'wait');
    assert.equal(kind('b', 'wants', { id: 2 }), 'wait', 'another resolve of a node that waited');
    assert.equal(kind('b'), 'known', 'and the one that waited has not lost its answer');
  });

  it('tells an answer for a second, and forgets it', () => {
    say('a');
    say('b');
    say('c');
    say('a', 'knows');
    now += 999;
    assert.equal(kind('b'), 'known');
    now += 1;
    assert.equal(kind('c'), 'ask');
    now += 10_000;
    say('d', 'wants', { tag: 'bb'.repeat(32) });
    assert.deepEqual(rounds.size, { running: 1, waiting: 0 });
  });

  it('lets the next node ask when the lease is not renewed, and hears no more of the one before', () => {
    say('a');
    say('b');
    now += 399;
    assert.equal(kind('b'), 'wait');
    now += 1;
    assert.equal(kind('b'), 'ask');
    assert.equal(kind('c'), 'wait');
    assert.equal(kind('a', 'asks'), 'alone');
    say('a', 'knows');
    assert.equal(kind('c'), 'wait');
    say('b', 'knows');
    assert.equal(kind('c'), 'known');
  });

  it('keeps the lease of a node that renews it, or asks again', () => {
    say('a');
    for (const state of ['asks', 'wants', 'asks'] as const) {
      now += 399;
      assert.equal(kind('a', state), 'ask');
      assert.equal(kind('b'), 'wait');
    }
  });

  it('keeps no round for longer than two seconds, however often its lease is renewed', () => {
    say('a');
    for (let at = 0; at < 10; at += 1) {
      now += 200;
      say('a', 'asks');
    }
    assert.equal(kind('b'), 'ask');
  });

  it('lets another node ask after a failure, and each for itself after three', () => {
    for (const node of ['a', 'b', 'c']) assert.equal(kind(node), node === 'a' ? 'ask' : 'wait');
    say('d');
    say('a', 'failed');
    assert.equal(kind('b'), 'ask');
    assert.equal(kind('c'), 'wait');
    say('b', 'failed');
    assert.equal(kind('c'), 'ask');
    say('c', 'failed');
    assert.equal(kind('d'), 'alone');
    assert.equal(kind('e'), 'ask', 'a new round');
  });

  it('has all ask for themselves when the registry has refused one of them', () => {
    say('a');
    say('b');
    say('a', 'refused');
    assert.equal(kind('b'), 'alone');
  });

  it('gives no lease to a node that cannot ask, which is told what others learn', () => {
    assert.equal(kind('a', 'wants', { canAsk: false }), 'alone', 'no node asks');
    assert.equal(kind('b'), 'ask');
    assert.equal(kind('a', 'wants', { canAsk: false }), 'wait');
    say('b', 'failed');
    assert.equal(kind('a', 'wants', { canAsk: false }), 'wait', 'another one may come');
    assert.equal(kind('c'), 'ask');
    say('c', 'failed');
    now += 250;
    assert.equal(kind('a', 'wants', { canAsk: false }), 'alone', 'none has come');
    say('d');
    assert.equal(kind('e', 'wants', { canAsk: false }), 'wait');
    say('d', 'knows');
    assert.equal(kind('e', 'wants', { canAsk: false }), 'known');
    assert.equal(kind('e', 'wants', { canAsk: false, id: 2 }), 'alone');
  });

  it('believes the node alone that has the lease', () => {
    say('a');
    say('b');
    for (const state of ['knows', 'failed', 'refused', 'asks'] as const) {
      assert.equal(kind('b', state), 'alone');
      assert.equal(kind('a', state, { id: 2 }), 'alone');
    }
    assert.equal(kind('c'), 'wait');
    say('a', 'knows');
    assert.equal(kind('c'), 'known');
  });

  it('has those ask less often that wait with many', () => {
    say('first');
    const times = Array.from({ length: 1_000 }, (_, at) => {
      const decision = say(`n${at}`);
      return decision.kind === 'wait' ? decision.againMs : 0;
    });
    assert.ok((times[0] ?? 0) >= 25 && (times[6] ?? 0) < 30, String(times[6]));
    assert.ok(times.at(-1) === 250);
    assert.equal(kind('n0'), 'wait');
  });

  it('bounds what it keeps, whoever asks', () => {
    for (let at = 0; at < 30_000; at += 1) {
      say('flood', 'wants', { tag: String(at), id: at });
      say('flood', 'wants', { id: at });
    }
    assert.ok(rounds.size.running <= 5_000);
    assert.ok(rounds.size.waiting <= 20_000);
    assert.equal(kind('honest', 'wants', { tag: 'other' }), 'ask');
  });
});
