import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Content } from '../content/content-source.ts';
import { peerResponse } from '../testing/peer-response.ts';
import { ExtendableTimeout } from '../timing/extendable-timeout.ts';
import { PeerError } from './client/peer-error.ts';
import { BufferedAnswers, longestWait, type Arrival } from './buffered-answers.ts';
import { MemoryBusyError } from './verify/memory-budget.ts';
import { eventually } from '../testing/eventually.ts';

const SMALL = 1_000;
const LARGE = 1_000_000;
const bytes = Buffer.from('content');

/** Deliveries that the test completes, and what is reported of their peers. */
function start(t: TestContext, typicalRate?: number) {
  const begun: { arrival: Arrival; done: PromiseWithResolvers<Content> }[] = [];
  const broken: string[] = [];
  const hedged: string[] = [];
  const timeout = new ExtendableTimeout(60_000);
  t.after(() => {
    timeout[Symbol.dispose]();
  });
  const attempts = {
    broke: ({ peerId }: { peerId: string }) => broken.push(peerId),
    hedged: (result: string) => hedged.push(result),
    lateAfter: () => 0,
    typicalRate,
  };
  const deliver = (_: unknown, arrival: Arrival): Promise<Content> => {
    const done = Promise.withResolvers<Content>();
    begun.push({ arrival, done });
    return done.promise;
  };
  const deliveries = new BufferedAnswers(
    { attempts, deliver, timeout, onNews: () => undefined },
    new AbortController().signal,
  );
  const begin = (peerId: string, size: number) => {
    const response = peerResponse(bytes, []);
    deliveries.begin({ provider: { peerId, origins: [] }, response });
    const { arrival, done } = begun.at(-1) ?? assert.fail();
    arrival.isBuffered(size);
    arrival.begins(size);
    return { ...done, signal: arrival.signal, body: response.body };
  };
  return { deliveries, begin, broken, hedged };
}

function content(): Content {
  return { kind: 'whole', descriptor: peerResponse(bytes, []).descriptor, origin: 'o', bytes };
}

describe('BufferedAnswers', () => {
  it('want no second body where all are slow at present', async (t) => {
    const slow = start(t, 64 * 1024);
    slow.begin('a', LARGE);
    const fast = start(t);
    fast.begin('a', LARGE);
    await eventually(() => {
      assert.ok(fast.deliveries.wantsMore);
    });
    assert.ok(!slow.deliveries.wantsMore, 'it would share the link with the first');
  });

  for (const [size, max] of [
    [SMALL, 16],
    [LARGE, 3],
  ] as const) {
    it(`wants up to ${max} bodies of ${size} bytes at once, each when all before are late`, async (t) => {
      const { deliveries, begin } = start(t);
      for (let count = 0; count < max; count += 1) {
        await eventually(() => {
          assert.ok(deliveries.wantsMore);
        });
        begin(`p${count}`, size);
        assert.ok(!deliveries.wantsMore, 'the newest is not late yet');
      }
      const { signal } = begin('one more', size);
      assert.ok(!deliveries.wantsMore);
      assert.ok(!signal.aborted);
      deliveries[Symbol.dispose]();
    });
  }

  it('takes the first content, and ends the others without blaming their peers', async (t) => {
    const { deliveries, begin, broken, hedged } = start(t);
    const [slow, fast] = [begin('slow', SMALL), begin('fast', SMALL)];
    fast.resolve(content());
    await eventually(() => {
      assert.ok(deliveries.content);
    });
    assert.ok(slow.signal.aborted && slow.body.destroyed);
    slow.reject(new PeerError('timeout', 'ended'));
    await eventually(() => {
      assert.ok(deliveries.isEmpty);
    });
    assert.deepEqual([broken, hedged], [[], ['won']]);
  });

  it('counts a hedge as won also when the late answer has failed meanwhile', async (t) => {
    const { deliveries, begin, hedged } = start(t);
    const [late, hedge] = [begin('late', SMALL), begin('hedge', SMALL)];
    late.reject(new PeerError('body', 'broke'));
    await eventually(() => {
      assert.equal(deliveries.failures, 1);
    });
    hedge.resolve(content());
    await eventually(() => {
      assert.ok(deliveries.content);
    });
    assert.deepEqual(hedged, ['won']);
  });

  it('frees the memory of content that comes second', async (t) => {
    const { deliveries, begin } = start(t);
    const [one, other] = [begin('one', LARGE), begin('other', LARGE)];
    let isFreed = false;
    const overdue = new AbortController().signal;
    const reservation = { overdue, [Symbol.dispose]: () => void (isFreed = true) };
    one.resolve(content());
    other.resolve({ ...content(), reservation } as Content);
    await eventually(() => {
      assert.ok(isFreed);
    });
    assert.ok(deliveries.content);
  });

  it('counts failures, and wants no more when there is no memory', async (t) => {
    const { deliveries, begin, broken } = start(t);
    begin('a', SMALL).reject(new PeerError('digest', 'wrong'));
    await eventually(() => {
      assert.equal(deliveries.failures, 1);
    });
    assert.ok(deliveries.wantsMore);
    begin('b', LARGE).reject(new MemoryBusyError('no memory in time'));
    await eventually(() => {
      assert.ok(deliveries.lacksMemory && deliveries.isEmpty);
    });
    assert.ok(!deliveries.wantsMore);
    assert.deepEqual(broken, ['a']);
  });

  it('destroys the body of an answer that comes when all is over', (t) => {
    const { deliveries } = start(t);
    deliveries[Symbol.dispose]();
    const response = peerResponse(bytes, []);
    deliveries.begin({ provider: { peerId: 'late', origins: [] }, response });
    assert.ok(response.body.destroyed);
  });
});

describe('longestWait', () => {
  it('is the search and the time of one body by its size, and ten seconds at most', () => {
    assert.equal(Math.round(longestWait(2_500, 2_048)), 3_504);
    assert.equal(longestWait(2_500, 4 << 20), 10_000);
  });

  it('lets a body have the time that its size is allowed, and a longer search its own', () => {
    assert.equal(longestWait(2_500, 32 << 20), 65_000);
    assert.equal(longestWait(60_000, 2_048), 60_000);
  });
});
