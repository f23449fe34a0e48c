import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import { parseDigest } from '../../oci/digest.ts';
import { FrameError } from '../../routing/dht/frames.ts';
import { fuzz } from '../../testing/fuzz/fuzz.ts';
import { MAX_FAILED, type Question, type Decision } from '../question.ts';
import {
  decodeQuestion,
  decodeDecision,
  encodeQuestion,
  encodeDecision,
  MAX_HOLDERS,
  MAX_MESSAGE_BYTES,
  MAX_ORIGINS,
} from '../wire/messages.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const MEMBER = { peerId: PEER, origins: ['http://10.0.0.7:5000', 'https://[fd00::7]:6000'] };
const digest = parseDigest(`sha256:${'0f'.repeat(32)}`);
assert.ok(digest);
const WANTS: Question = {
  digest,
  state: 'wants',
  offset: 2 ** 40,
  size: 2 ** 41,
  failed: [PEER, PEER],
  canFetch: true,
  children: 2,
  isRoomy: true,
  zone: 'eu-1a',
};
const ANSWERS: readonly Decision[] = [
  { kind: 'fetch', renewMs: 250 },
  { kind: 'follow', renewMs: 250, parent: MEMBER },
  { kind: 'held', holders: [MEMBER, MEMBER] },
  { kind: 'go-on', renewMs: 1000 },
  { kind: 'alone', forMs: 5000 },
];
const NUMBERS = ['offset', 'size', 'children'] as const;

describe('what nodes send each other about downloads', () => {
  fuzz(CORPORA, {
    name: 'questions of downloads',
    seeds: [WANTS, { ...WANTS, state: 'following' as const, parent: PEER }].map(encodeQuestion),
    words: [PEER, digest],
    errors: [FrameError],
    parse: decodeQuestion,
    check(question) {
      assert.ok(question.failed.length <= MAX_FAILED);
      for (const peerId of [...question.failed, question.parent ?? PEER]) {
        assert.match(peerId, /^\w{1,64}$/);
      }
      for (const name of NUMBERS) assert.ok(Number.isSafeInteger(question[name] ?? 0), name);
      assert.equal(parseDigest(question.digest), question.digest);
      const bytes = encodeQuestion(question);
      assert.ok(bytes.length <= MAX_MESSAGE_BYTES);
      assert.deepEqual(decodeQuestion(bytes), question);
    },
  });

  fuzz(CORPORA, {
    name: 'answers about downloads',
    seeds: ANSWERS.map(encodeDecision),
    words: [PEER, ...MEMBER.origins],
    errors: [FrameError],
    parse: decodeDecision,
    check(answer) {
      const members = answer.kind === 'held' ? answer.holders : [];
      const named = answer.kind === 'follow' ? [answer.parent] : members;
      assert.ok(named.length <= MAX_HOLDERS);
      for (const { peerId, origins } of named) {
        assert.match(peerId, /^\w{1,64}$/);
        assert.ok(origins.length <= MAX_ORIGINS);
        for (const origin of origins) {
          assert.ok(origin.length <= 128);
          const { protocol, username, pathname, search } = new URL(origin);
          assert.match(protocol, /^https?:$/);
          assert.deepEqual([username, pathname, search], ['', '/', '']);
        }
      }
      const bytes = encodeDecision(answer);
      assert.ok(bytes.length <= MAX_MESSAGE_BYTES);
      assert.deepEqual(decodeDecision(bytes), answer);
    },
  });
});
