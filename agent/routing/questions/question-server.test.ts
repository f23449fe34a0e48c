import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import { until } from '../../testing/conformance/router.ts';
import { startRoutingNode } from '../../testing/routing-node.ts';
import { silent } from '../../testing/test-network.ts';
import { frame } from '../dht/frames.ts';
import { PeerDialer } from '../dht/peer-dialer.ts';
import { RequestRateLimiter } from '../dht/request-rate-limiter.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { QuestionClient } from './question-client.ts';
import { QuestionServer } from './question-server.ts';

const PROTOCOL = '/peerglass/greetings/1.0.0';
const handler = {
  protocol: PROTOCOL,
  maxBytes: 100,
  answer: (from: string, message: Uint8Array) => {
    questions += 1;
    if (message.length === 1) throw new Error('refused');
    return Buffer.from(`${from} ${Buffer.from(message).toString()}`);
  },
};

let questions: number;
/** What the clock of the rate limiter shows. */
let now: number;
let asker: RoutingNode;
let node: RoutingNode;
let server: QuestionServer;
let client: QuestionClient;

async function start(t: TestContext): Promise<void> {
  questions = 0;
  now = 0;
  node = await startRoutingNode(t, '127.0.0.54');
  asker = await startRoutingNode(t, '127.0.0.55');
  const rateLimiter = new RequestRateLimiter(() => now);
  server = new QuestionServer({ node, rateLimiter, logger: silent }, handler);
  await server.start();
  await asker.dial(node.services.listening.addresses());
  // libp2p ends a connection with more than ten streams before it is known on both sides.
  await until(() => node.getConnections().length > 0);
  const dialer = new PeerDialer(asker, { allows: () => false });
  client = new QuestionClient({ node: asker, dialer }, handler);
  t.after(() => {
    client.stop();
  });
}

const ask = async (text: string): Promise<string> => {
  const signal = AbortSignal.timeout(20_000);
  return Buffer.from(await client.ask(String(node.peerId), Buffer.from(text), signal)).toString();
};

describe('QuestionServer', () => {
  beforeEach((t) => start(t as TestContext));

  it('answers one question after another, and says who has asked', async () => {
    for (const text of ['one', 'two'])
      assert.equal(await ask(text), `${String(asker.peerId)} ${text}`);
  });

  it('ends the stream of a question that is refused, and of one that is too long', async () => {
    const before = [Uint8Array.of(1, 7), frame(new Uint8Array(101)), new Uint8Array(9).fill(0xff)];
    for (const bytes of before) {
      const stream = await asker.dialProtocol(node.peerId, PROTOCOL);
      stream.send(bytes);
      await until(() => stream.status !== 'open');
    }
    assert.equal(questions, 1, 'a message beyond the bound is not read');
    assert.match(await ask('next'), /next/);
  });

  it('answers a member that asks without end no more often than the rate, and others at once', async (t) => {
    const other = await startRoutingNode(t, '127.0.0.56');
    await other.dial(node.services.listening.addresses());
    const many = Buffer.concat(Array.from({ length: 100 }, () => frame(Buffer.from('flood'))));
    const streams = await Promise.all(
      Array.from({ length: 32 }, () => asker.dialProtocol(node.peerId, PROTOCOL)),
    );
    // 10,000 questions are on their way.
    const start = performance.now();
    for (const stream of streams.slice(0, 25)) for (let at = 0; at < 4; at++) stream.send(many);
    await until(() => questions >= 500);
    const dialer = new PeerDialer(other, { allows: () => false });
    const calm = new QuestionClient({ node: other, dialer }, handler);
    t.after(() => {
      calm.stop();
    });
    for (let at = 0; at < 50; at++) {
      await calm.ask(String(node.peerId), Buffer.from('calm'), AbortSignal.timeout(20_000));
    }
    // 500 for the burst, and 500 in each second: a question beyond the rate waits for its turn, and never less.
    const inTime = 500 * (1 + (performance.now() - start) / 1_000);
    assert.ok(questions <= inTime + 50 + 32, `${questions}, ${inTime}`);
  });

  it('serves no more streams of one connection than the bound', async () => {
    const streams = await Promise.all(
      Array.from({ length: 40 }, () =>
        asker.dialProtocol(node.peerId, PROTOCOL).catch(() => undefined),
      ),
    );
    const isOpen = (): number => streams.filter((stream) => stream?.status === 'open').length;
    await until(() => isOpen() === 32);
  });

  it('ends its streams when it stops, and serves no more', async () => {
    await ask('one');
    const streams = asker
      .getConnections()
      .flatMap((connection) => connection.streams)
      .filter(({ protocol }) => protocol === PROTOCOL);
    assert.equal(streams.length, 1);
    await server.stop();
    await until(() => streams.every(({ status }) => status !== 'open'));
    await assert.rejects(ask('two'));
  });
});
