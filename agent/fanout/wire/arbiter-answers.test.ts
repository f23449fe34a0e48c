import assert from 'node:assert/strict';
import { it } from 'node:test';

import { parseDigest } from '../../oci/digest.ts';
import { FrameError } from '../../routing/dht/frames.ts';
import { DOWNLOADS_PROTOCOL, type Member, type Question } from '../question.ts';
import { ArbiterAnswers } from './arbiter-answers.ts';
import { decodeDecision, encodeQuestion } from './messages.ts';

const digest = parseDigest(`sha256:${'0f'.repeat(32)}`);
assert.ok(digest);
const QUESTION: Question = {
  digest,
  state: 'wants',
  offset: 7,
  failed: [],
  canFetch: true,
  children: 1,
  isRoomy: false,
  zone: 'a',
};
const ORIGINS = Array.from({ length: 4 }, (_, at) => `http://10.0.0.${String(at)}:5000`);
const asked: { from: Member; question: Question }[] = [];
const answers = new ArbiterAnswers({
  router: {
    locate: (peerId) => (peerId === 'known' ? { peerId, origins: ORIGINS } : undefined),
  },
  arbiter: {
    answer: (from, question) => {
      asked.push({ from, question });
      return { kind: 'fetch', renewMs: 250 };
    },
  },
});

it('answers with what the arbiter decides, for the member as the router knows it', () => {
  assert.equal(answers.protocol, DOWNLOADS_PROTOCOL);
  for (const [peerId, origins] of [
    ['known', ORIGINS.slice(0, 3)],
    ['unknown', []],
  ] as const) {
    const answer = answers.answer(peerId, encodeQuestion(QUESTION));
    assert.deepEqual(decodeDecision(answer), { kind: 'fetch', renewMs: 250 });
    assert.deepEqual(asked.pop(), { from: { peerId, origins }, question: QUESTION });
  }
});

it('refuses what is not a question', () => {
  assert.throws(() => answers.answer('known', Uint8Array.of(1, 2, 3)), FrameError);
  assert.equal(asked.length, 0);
});
