import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import type { Stream } from '@libp2p/interface';

import { until } from '../../testing/conformance/router.ts';
import { startRoutingNode } from '../../testing/routing-node.ts';
import { frame } from '../dht/frames.ts';
import { PeerDialer } from '../dht/peer-dialer.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { QuestionClient } from './question-client.ts';

const PROTOCOL = '/peerglass/greetings/1.0.0';
const MAX_BYTES = 100;
const ANSWER = Buffer.from('answer');
const QUESTION = Buffer.from('question');

let asker: RoutingNode;
let hostile: RoutingNode;
let client: QuestionClient;
let peerId: string;

async function start(t: TestContext): Promise<void> {
  asker = await startRoutingNode(t, '127.0.0.52');
  hostile = await startRoutingNode(t, '127.0.0.53');
  await asker.dial(hostile.services.listening.addresses());
  peerId = hostile.peerId.toString();
  const dialer = new PeerDialer(asker, { allows: () => false });
  client = new QuestionClient({ node: asker, dialer }, { protocol: PROTOCOL, maxBytes: MAX_BYTES });
  t.after(() => {
    client.stop();
  });
}

/** Lets the peer send these bytes for each message; the streams that it was sent questions on. */
async function answerWith(bytes: Uint8Array): Promise<Stream[]> {
  const streams: Stream[] = [];
  await hostile.handle(PROTOCOL, (stream) => {
    streams.push(stream);
    stream.addEventListener('message', () => {
      if (bytes.length > 0 && stream.writeStatus === 'writable') stream.send(bytes);
    });
  });
  return streams;
}

const ask = (signal = AbortSignal.timeout(20_000)): Promise<Uint8Array> =>
  client.ask(peerId, QUESTION, signal);

describe('QuestionClient', () => {
  beforeEach((t) => start(t as TestContext));

  it('asks many questions over a few streams, which it ends when it stops', async () => {
    const streams = await answerWith(frame(ANSWER));
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask()));
    for (const answer of answers) assert.deepEqual(Buffer.from(answer), ANSWER);
    await ask();
    assert.ok(streams.length <= 4, String(streams.length));
    client.stop();
    await until(() => streams.every(({ status }) => status !== 'open'));
  });

  it('rejects when the peer does not speak the protocol, and asks again later', async () => {
    await assert.rejects(ask(), { name: 'UnsupportedProtocolError' });
    await answerWith(frame(ANSWER));
    assert.deepEqual(Buffer.from(await ask()), ANSWER);
  });

  it('does not wait for a peer that hangs, and ends the streams', async () => {
    const streams = await answerWith(new Uint8Array(0));
    const abort = new AbortController();
    const asked = Array.from({ length: 6 }, () => ask(abort.signal));
    const results = Promise.allSettled(asked);
    await until(() => streams.length === 4);
    abort.abort();
    for (const { status } of await results) assert.equal(status, 'rejected');
    await until(() => streams.every(({ status }) => status !== 'open'));
    await hostile.unhandle(PROTOCOL);
    await answerWith(frame(ANSWER));
    assert.deepEqual(Buffer.from(await ask()), ANSWER);
  });

  it('refuses more questions than may wait', async () => {
    await answerWith(new Uint8Array(0));
    const abort = new AbortController();
    const asked = Array.from({ length: 1004 }, () => ask(abort.signal));
    const results = Promise.allSettled(asked);
    await assert.rejects(ask(), { name: 'NotAskedError' });
    abort.abort();
    await results;
  });

  it('rejects answers that are too long or no messages', async () => {
    for (const bytes of [frame(new Uint8Array(MAX_BYTES + 1)), new Uint8Array(8).fill(0xff)]) {
      await answerWith(bytes);
      await assert.rejects(ask(), { name: 'FrameError' });
      await hostile.unhandle(PROTOCOL);
    }
    await hostile.handle(PROTOCOL, (stream) => stream.close());
    await assert.rejects(ask(), { name: 'FrameError' });
  });

  it('takes no answer for another question: a stream with a second one is not used again', async () => {
    const streams = await answerWith(Buffer.concat([frame(ANSWER), frame(Buffer.from('more'))]));
    assert.deepEqual(Buffer.from(await ask()), ANSWER);
    assert.deepEqual(Buffer.from(await ask()), ANSWER);
    assert.equal(streams.length, 2);
  });

  it('asks no peer whose connection has ended', async () => {
    await answerWith(frame(ANSWER));
    await ask();
    await asker.hangUp(hostile.peerId);
    await assert.rejects(ask(), { name: 'NotAskedError' });
  });
});
