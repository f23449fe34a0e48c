import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { parseDigest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { frame } from '../../routing/dht/frames.ts';
import { PeerDialer } from '../../routing/dht/peer-dialer.ts';
import { QuestionClient } from '../../routing/questions/question-client.ts';
import { QuestionServer } from '../../routing/questions/question-server.ts';
import { until } from '../../testing/conformance/router.ts';
import { mutate, SeededRandom } from '../../testing/fuzz/mutate.ts';
import { startRoutingNode } from '../../testing/routing-node.ts';
import { silent } from '../../testing/test-network.ts';
import { decodeTagDecision, encodeTagQuestion } from '../tags/tag-messages.ts';
import { TAG_CHECKS_PROTOCOL, type TagDecision, type TagQuestion } from '../tags/tag-question.ts';
import { TagRoundAnswers } from '../tags/tag-round-answers.ts';
import { TagRounds } from '../tags/tag-rounds.ts';

const { signal } = new AbortController();
const digest = parseDigest(`sha256:${'0f'.repeat(32)}`);
assert.ok(digest);
const manifest = { mediaType: MEDIA_TYPE.ociManifest, digest, size: 500 };
const WANTS: TagQuestion = { tag: '0f'.repeat(32), state: 'wants', id: 7, canAsk: true };
const QUESTIONS = [WANTS, { ...WANTS, state: 'knows' as const, manifest }].map(encodeTagQuestion);

describe('a member that sends a coordinator of tags', () => {
  let now: number;
  /** A coordinator whose clock the test has, and what it answers. */
  function coordinate() {
    now = 1_000;
    const its = new TagRounds({ now: () => now });
    const served = new TagRoundAnswers(its);
    const say = (from: string, question: Partial<TagQuestion> = {}): TagDecision['kind'] =>
      decodeTagDecision(served.answer(from, encodeTagQuestion({ ...WANTS, ...question }))).kind;
    return { its, say };
  }
  const tagOf = (number: number): string => number.toString(16).padStart(64, '0');

  it('questions about ever other tags takes room within the bounds, and others are coordinated', () => {
    const { its, say } = coordinate();
    for (let number = 0; number < 20_000; number += 1) say('flood', { tag: tagOf(number) });
    for (let id = 0; id < 40_000; id += 1) say('flood', { id, canAsk: false });
    assert.ok(its.size.running <= 5_000 && its.size.waiting <= 20_000, JSON.stringify(its.size));
    const tag = 'ab'.repeat(32);
    assert.deepEqual([say('a', { tag }), say('b', { tag })], ['ask', 'wait']);
    say('a', { tag, state: 'knows', manifest });
    assert.equal(say('b', { tag }), 'known');
  });

  it('as many as one member may send leaves the rounds of others alone', () => {
    const { say } = coordinate();
    assert.deepEqual([say('a'), say('b')], ['ask', 'wait']);
    // 500 at once, and in each of the two seconds of a round.
    for (let number = 0; number < 1_500; number += 1) say('flood', { tag: tagOf(number) });
    say('a', { state: 'knows', manifest });
    assert.equal(say('b'), 'known');
  });

  it('a question, and says nothing after that, holds up others for the time of a lease, and is forgotten', () => {
    const { its, say } = coordinate();
    for (let number = 0; number < 100; number += 1) say('gone', { tag: tagOf(number) });
    const tag = tagOf(7);
    assert.equal(say('a', { tag }), 'wait');
    now += 400;
    assert.equal(say('a', { tag }), 'ask');
    now += 3_000;
    say('b', { tag: 'ab'.repeat(32) });
    assert.deepEqual(its.size, { running: 1, waiting: 0 });
  });

  it('a renewal without end holds up a round for two seconds', () => {
    const { say } = coordinate();
    assert.equal(say('hog'), 'ask');
    for (; now < 2_999; now += 100) {
      say('hog', { state: 'asks' });
      assert.equal(say('a'), 'wait');
    }
    now = 3_000;
    assert.equal(say('a'), 'ask');
    assert.equal(say('hog', { state: 'asks' }), 'alone');
  });

  it('any bytes on many streams ends none of the streams of others', async (t: TestContext) => {
    const node = await startRoutingNode(t, '127.0.0.66');
    const hostile = await startRoutingNode(t, '127.0.0.67');
    const asker = await startRoutingNode(t, '127.0.0.68');
    const its = new TagRounds();
    const handler = new TagRoundAnswers(its);
    await new QuestionServer({ node, logger: silent }, handler).start();
    for (const each of [hostile, asker]) await each.dial(node.services.listening.addresses());
    await until(() => node.getConnections().length === 2);
    const random = new SeededRandom(1);
    const pool = QUESTIONS.map((bytes) => Buffer.from(bytes));
    const sources = { random, pool, words: [Buffer.from(digest)] };
    for (let stream = 0; stream < 200; stream += 1) {
      // The node takes 32 streams of a connection, and refuses the next ones.
      const opened = await hostile
        .dialProtocol(node.peerId, TAG_CHECKS_PROTOCOL)
        .catch((): undefined => undefined);
      if (opened?.status !== 'open') continue;
      const bytes = mutate(random.of(pool), sources);
      opened.send(stream % 2 === 0 ? bytes : frame(bytes));
      // Half of them stay open for as long as the node lets them.
      if (stream % 4 < 2) opened.abort(new Error('enough'));
    }
    const dialer = new PeerDialer(asker, { allows: () => false });
    const client = new QuestionClient({ node: asker, dialer }, handler);
    t.after(() => {
      client.stop();
    });
    const question = encodeTagQuestion({ ...WANTS, tag: 'ab'.repeat(32) });
    const answer = await client.ask(String(node.peerId), question, signal);
    assert.equal(decodeTagDecision(answer).kind, 'ask');
  });
});
