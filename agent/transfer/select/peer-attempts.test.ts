import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, describe, it } from 'node:test';

import { pino } from 'pino';

import { createMetrics } from '../../metrics/metrics.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';
import { FixedRouter, KnownRouter, providerOf } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { PeerClient } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import { PeerAttempts, type TransferRouter } from './peer-attempts.ts';
import { createSharedState } from './shared-state.ts';

const image = makeImage(100);
const [digest = image.manifest.digest] = image.layers;
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: '',
  repository: 'team/app',
  digest,
};
const peer = { peerId: 'a', origins: ['http://192.0.2.1:5000'] };
const other = { peerId: 'b', origins: ['http://192.0.2.2:5000'] };

/** Declares a body of this length and sends nothing of it, as an answer to HEAD. */
const holds = (length: number) => (socket: Socket) => {
  socket.write(responseHead(200, { 'content-length': length }));
};

describe('PeerAttempts', () => {
  const client = new PeerClient({ userAgent: 'peerglass/test', headTimeout: 100 });
  after(() => client.close());
  const never = new AbortController().signal;

  function makeNode(router: TransferRouter = new FixedRouter(peer, other), logger = quiet) {
    const metrics = createMetrics();
    const shared = createSharedState({ metrics, logger });
    const components = { router, client, metrics, logger, shared };
    const init = { resolveTimeout: 1_000, resolveRetries: 0, firstByteBudget: 5_000 };
    const begin = (): PeerAttempts => new PeerAttempts(request, components, init);
    return { metrics, shared, begin };
  }

  it('keeps a failure to itself, and shares what other requests should know', () => {
    const { begin } = makeNode();
    const [one, another] = [begin(), begin()];
    one.missed(peer, new PeerError('timeout', 'no answer'));
    assert.deepEqual(one.choose([peer, other]), other);
    assert.ok(another.isDoubtful(peer), 'the peer is silent for every request');
    const busy = new PeerError('busy', 'too many');
    busy.report = { alternatives: ['a', 'b'], retryLater: true };
    assert.deepEqual(one.alternatives(busy), [], 'this router cannot locate peers');
  });

  it('names the alternatives of a busy peer that have not failed and that its own routing knows', () => {
    const { begin } = makeNode(new KnownRouter([peer, other]));
    const attempts = begin();
    const failure = new PeerError('busy', 'too many');
    failure.report = { alternatives: ['a', 'b', 'unknown'], retryLater: true };
    attempts.missed(peer, new PeerError('not-found', 'lost it'));
    assert.deepEqual(attempts.alternatives(failure), [other]);
  });

  it('corrects the DHT record of a peer that lacks the content or sent wrong bytes, and of no other', () => {
    const router = new FixedRouter();
    const { begin } = makeNode(router);
    for (const reason of ['timeout', 'status', 'not-found', 'digest'] as const) {
      begin().missed({ ...peer, peerId: reason }, new PeerError(reason, reason));
    }
    assert.deepEqual(router.forgotten, ['not-found', 'digest']);
  });

  it('warns once of a peer that does not prove who it is, whatever number of requests meet it', () => {
    const warnings: unknown[] = [];
    const write = (line: string): void => {
      warnings.push((JSON.parse(line) as { peer: unknown }).peer);
    };
    const { begin } = makeNode(new FixedRouter(peer), pino({ level: 'warn' }, { write }));
    for (let count = 0; count < 5; count += 1) {
      begin().missed(peer, new PeerError('identity', 'the answer is not of the peer'));
      begin().missed(other, new PeerError('timeout', 'no answer'));
    }
    assert.deepEqual(warnings, ['a']);
  });

  it('blocks a peer that sent wrong bytes for all requests', async () => {
    const { metrics, begin } = makeNode();
    begin().broke(peer, new PeerError('digest', 'wrong'));
    assert.equal(begin().choose([peer]), undefined);
    const { values } = await metrics.digestMismatches.get();
    assert.deepEqual(values[0]?.labels, { peer: 'a', noticed: 'held-back' });
  });

  it('refuses an answer with another size than the manifest names', async () => {
    await using wrong = await startRogue(holds(99));
    const { shared, begin } = makeNode();
    shared.sizes.note(request, [{ digest, size: 100 }]);
    const head = { ...request, method: 'HEAD' } as const;
    await assert.rejects(begin().ask(providerOf('wrong', wrong), head, never), {
      reason: 'protocol',
    });
  });

  it('counts a request to a peer as its load until the body ends', async () => {
    await using good = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': 100 }));
      socket.write('some');
    });
    const provider = providerOf('good', good);
    const { begin } = makeNode();
    const attempts = begin();
    const { body } = await attempts.ask(provider, request, never);
    assert.equal(attempts.choose([provider, other]), other);
    body.destroy();
    await eventually(() => {
      const chosen = new Set(Array.from({ length: 50 }, () => begin().choose([provider, other])));
      assert.equal(chosen.size, 2);
    });
  });

  it('gives a peer that was silent the last time less than the whole time', async (t) => {
    await using silent = await startRogue(() => undefined);
    const provider = providerOf('silent', silent);
    const { shared, begin } = makeNode();
    shared.scoreboard.record(provider, digest, { kind: 'silent' });
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const asking = begin().ask(provider, request, never);
    t.mock.timers.tick(100);
    await assert.rejects(asking, { reason: 'timeout' });
  });

  it('does not take the busy peers of one search over to the next', () => {
    const attempts = makeNode().begin();
    attempts.busy(peer, new PeerError('busy', 'too many'));
    assert.ok(attempts.hasBusy);
    const search = attempts.search(() => undefined, never);
    search[Symbol.dispose]();
    assert.ok(!attempts.hasBusy);
    assert.equal(attempts.progress, 'busy');
  });
});
