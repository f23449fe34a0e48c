import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Stream } from '@libp2p/interface';

import type { Digest } from '../../oci/digest.ts';
import { frame } from '../../routing/dht/frames.ts';
import type { Libp2pRouter } from '../../routing/libp2p-router.ts';
import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import {
  ArbiterNetwork,
  digestNear,
  GIVE_UP_AFTER_MS,
  type ArbiterNode,
} from '../../testing/arbiter-network.ts';
import { until } from '../../testing/conformance/router.ts';
import { eventually } from '../../testing/eventually.ts';
import { pause } from '../../timing/pause.ts';
import { DOWNLOADS_PROTOCOL, type Question, type Decision } from '../question.ts';
import { Arbiters } from './arbiters.ts';
import { encodeQuestion, encodeDecision, MAX_MESSAGE_BYTES } from './messages.ts';

const { signal } = new AbortController();
const ALONE: Decision = { kind: 'alone', forMs: 0 };
const FETCH: Decision = { kind: 'fetch', renewMs: 250 };
const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const FOLLOW: Decision = { kind: 'follow', renewMs: 250, parent: { peerId: PEER, origins: [] } };

const wants = (digest: Digest): Question => ({
  digest,
  state: 'wants',
  offset: 5,
  failed: [PEER],
  canFetch: true,
  children: 0,
  isRoomy: true,
  zone: 'a',
});
const reports = (digest: Digest): Question => ({ ...wants(digest), state: 'fetching' });

/** An asker, an arbiter that works, and one that does as the test says. */
async function start(
  t: TestContext,
  serve?: (stream: Stream) => void,
): Promise<{ asker: ArbiterNode; good: ArbiterNode; bad: Libp2pRouter }> {
  const network = new ArbiterNetwork(t);
  const asker = await network.start();
  const good = await network.start();
  const bad = await network.startHostile(serve);
  await network.meet(...(serve === undefined ? [bad] : []));
  return { asker, good, bad };
}

const hangs = (): void => undefined;

describe('Arbiters', () => {
  it('ask the closest member, which knows who asks and where its mirror is', async (t) => {
    const { asker, good, bad } = await start(t, hangs);
    const question = wants(await digestNear(good.router, bad, asker.router));
    good.decision = FETCH;
    assert.deepEqual(await asker.arbiters.ask(question, signal), FETCH);
    assert.deepEqual(good.asked, [{ from: asker.router.self(), question }]);
    assert.deepEqual(asker.outcomes, ['fetch']);
    assert.deepEqual(asker.asked, []);
  });

  it('ask whom to follow first, which is measured when it has an answer to go by', async (t) => {
    const { asker, good, bad } = await start(t, hangs);
    const question = wants(await digestNear(good.router, bad, asker.router));
    good.decision = { kind: 'alone', forMs: 5_000 };
    assert.deepEqual(await asker.arbiters.askToFollow(question, signal), good.decision);
    assert.equal(good.asked[0]?.question.canFetch, false);
    assert.deepEqual(asker.outcomes, [], 'the node asks once more');
    good.decision = FOLLOW;
    assert.deepEqual(await asker.arbiters.askToFollow(question, signal), FOLLOW);
    assert.deepEqual(asker.outcomes, ['follow']);
  });

  it('ask who takes content from its holder, which is no fetch from the registry', async (t) => {
    const { asker, good, bad } = await start(t, hangs);
    const question = wants(await digestNear(good.router, bad, asker.router));
    for (const decision of [FETCH, { kind: 'alone', forMs: 5_000 } as const]) {
      good.decision = decision;
      assert.deepEqual(await asker.arbiters.askToTake(question, signal), decision);
    }
    assert.equal(good.asked[0]?.question.canFetch, true);
    assert.deepEqual(asker.outcomes, []);
    good.decision = FOLLOW;
    assert.deepEqual(await asker.arbiters.askToTake(question, signal), FOLLOW);
    assert.deepEqual(asker.outcomes, ['follow']);
  });

  it('ask the arbiter here when this node is the closest', async (t) => {
    const { asker, good, bad } = await start(t, hangs);
    const digest = await digestNear(asker.router, good.router, bad);
    asker.decision = FETCH;
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FETCH);
    assert.deepEqual(await asker.arbiters.ask(reports(digest), signal), FETCH);
    const from = asker.router.self();
    assert.deepEqual(
      asker.asked.map((it) => it.from),
      [from, from],
    );
    assert.deepEqual(good.asked, []);
  });

  it('leave out members that do not speak the protocol', async (t) => {
    const { asker, good, bad } = await start(t);
    const question = wants(await digestNear(bad, good.router, asker.router));
    good.decision = FETCH;
    assert.deepEqual(await asker.arbiters.ask(question, signal), FETCH);
    assert.equal(good.asked.length, 1);
  });

  it('do without one where no member speaks it', async () => {
    const network = new MemoryNetwork();
    const router = new MemoryRouter({ network }, { peerId: 'a', origins: [] });
    const outcomes: string[] = [];
    const arbiters = new Arbiters({
      router,
      arbiter: { answer: () => FETCH },
      observer: { asked: (_, outcome) => outcomes.push(outcome) },
    });
    const question = wants(`sha256:${'0'.repeat(64)}` as Digest);
    assert.deepEqual(await arbiters.ask(question, signal), ALONE);
    assert.deepEqual(await arbiters.ask({ ...question, state: 'held' }, signal), ALONE);
    assert.deepEqual(outcomes, ['no-arbiter']);
  });

  it('ask those found before when a look-up of members takes too long', async () => {
    const digest = `sha256:${'0'.repeat(64)}` as Digest;
    const network = new MemoryNetwork();
    const protocols = [DOWNLOADS_PROTOCOL];
    const router = new MemoryRouter({ network }, { peerId: 'a', origins: [], protocols });
    let isSlow = true;
    let lookUps = 0;
    const slow = Promise.withResolvers<undefined>();
    const slowly = {
      self: () => router.self(),
      ask: () => Promise.reject(new Error('asked')),
      closest: async (key: string, count: number) => {
        lookUps += 1;
        if (isSlow) await slow.promise;
        return router.closest(key, count);
      },
    };
    const components = { router: slowly, arbiter: { answer: () => FETCH } };
    const arbiters = new Arbiters(components, { giveUpAfterMs: 20 });
    const both = [wants(digest), wants(digest)].map((each) => arbiters.ask(each, signal));
    assert.deepEqual(await Promise.all(both), [ALONE, ALONE]);
    assert.equal(lookUps, 1, 'they share one');
    slow.resolve(undefined);
    await nextTurn();
    assert.deepEqual(await arbiters.ask(reports(digest), signal), FETCH);
    assert.equal(lookUps, 1, 'it went on');
    isSlow = false;
    assert.deepEqual(await arbiters.ask(wants(digest), signal), FETCH);
    assert.equal(lookUps, 2, 'a question looks anew');
    slowly.closest = () => new Promise(() => undefined);
    assert.deepEqual(await arbiters.ask(wants(digest), signal), FETCH);
  });

  it('take the answer of the second when the first hangs, which is not asked any more after a while', async (t) => {
    let messages = 0;
    const { asker, good, bad } = await start(t, (stream) => {
      stream.addEventListener('message', () => (messages += 1));
    });
    const digest = await digestNear(bad, good.router, asker.router);
    good.decision = FOLLOW;
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FOLLOW);
    assert.equal(messages, 1);
    good.decision = FETCH;
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FETCH);
    // It counts as silent when a question was open for a second.
    messages = 0;
    assert.deepEqual(await asker.arbiters.ask(reports(digest), signal), FETCH);
    assert.equal(messages, 0, 'reports go to the other one');
    const askedBeside: number[] = [];
    await eventually(async () => {
      messages = 0;
      assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FETCH);
      askedBeside.push(messages);
      assert.equal(messages, 0);
    });
    assert.deepEqual([askedBeside[0], askedBeside.at(-1)], [1, 0]);
  });

  it('wait for the first, which knows the tree, when the second knows of a peer', async (t) => {
    let seconds = 0;
    const { asker, good, bad } = await start(t, (stream) => {
      stream.addEventListener('message', () => {
        // It is later than the second, which knows of a peer.
        void eventually(() => {
          assert.ok(good.asked.length > seconds);
        })
          .then(() => pause(200, signal))
          .then(() => {
            // The first question is over on a busy machine, and its stream with it.
            if (stream.status === 'open') stream.send(frame(encodeDecision(FETCH)));
          });
      });
    });
    const digest = await digestNear(bad, good.router, asker.router);
    good.decision = FOLLOW;
    const { router } = asker;
    const init = { giveUpAfterMs: 5_000 };
    const arbiters = new Arbiters({ router, arbiter: { answer: (): Decision => ALONE } }, init);
    for (const offset of [0, 1]) {
      seconds = good.asked.length;
      assert.deepEqual(await arbiters.ask({ ...wants(digest), offset }, signal), FETCH);
    }
  });

  it('take the answer of the first again that was silent once', async (t) => {
    let isSilent = true;
    const { asker, good, bad } = await start(t, (stream) => {
      stream.addEventListener('message', () => {
        if (!isSilent) stream.send(frame(encodeDecision(FOLLOW)));
      });
    });
    const digest = await digestNear(bad, good.router, asker.router);
    good.decision = FETCH;
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FETCH);
    isSilent = false;
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FOLLOW);
  });

  for (const decision of [FETCH, FOLLOW]) {
    it(`get the reports where the word was "${decision.kind}", when the first was silent for the whole time`, async (t) => {
      let messages = 0;
      const { asker, good, bad } = await start(t, (stream) => {
        stream.addEventListener('message', () => (messages += 1));
      });
      const digest = await digestNear(bad, good.router, asker.router);
      good.decision = decision;
      const { router } = asker;
      // Shorter than a question may be open.
      const init = { giveUpAfterMs: 500 };
      const arbiters = new Arbiters({ router, arbiter: { answer: (): Decision => ALONE } }, init);
      assert.deepEqual(await arbiters.ask(wants(digest), signal), decision);
      assert.deepEqual(await arbiters.ask(reports(digest), signal), decision);
      assert.equal(messages, 1);
    });
  }

  it('ask the arbiter here when the first hangs and this node is the second', async (t) => {
    const network = new ArbiterNetwork(t);
    const asker = await network.start();
    const bad = await network.startHostile(hangs);
    await network.meet();
    const digest = await digestNear(bad, asker.router);
    asker.decision = FOLLOW;
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FOLLOW);
  });

  it('take the answer of the second when that of the first is none', async (t) => {
    const garbage: readonly Uint8Array[] = [
      frame(Uint8Array.of(0xff, 0xff)),
      frame(encodeDecision({ ...FOLLOW, parent: { peerId: 'no peer', origins: [] } })),
      frame(new Uint8Array(MAX_MESSAGE_BYTES + 1)),
      new Uint8Array(100).fill(0xff),
    ];
    let messages = 0;
    let answer: Uint8Array | undefined;
    const { asker, good, bad } = await start(t, (stream) => {
      stream.addEventListener('message', () => {
        messages += 1;
        if (answer === undefined) void stream.close();
        else if (stream.writeStatus === 'writable') stream.send(answer);
      });
    });
    const digest = await digestNear(bad, good.router, asker.router);
    good.decision = FETCH;
    for (answer of [...garbage, undefined]) {
      const before = messages;
      // Another instance has not seen that the first fails.
      const fresh = new Arbiters(
        { router: asker.router, arbiter: { answer: (): Decision => ALONE } },
        { giveUpAfterMs: GIVE_UP_AFTER_MS },
      );
      assert.deepEqual(await fresh.ask(wants(digest), signal), FETCH);
      assert.ok(messages > before);
    }
  });

  it('take the answer of the second when the first has died', async (t) => {
    const { asker, good, bad } = await start(t, hangs);
    const digest = await digestNear(bad, good.router, asker.router);
    await bad.stop();
    good.decision = FETCH;
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), FETCH);
  });

  it('do without one when none answers', async (t) => {
    const network = new ArbiterNetwork(t);
    const asker = await network.start();
    const bad = await network.startHostile(hangs);
    const worse = await network.startHostile(hangs);
    await network.meet();
    const digest = await digestNear(bad, worse, asker.router);
    assert.deepEqual(await asker.arbiters.ask(wants(digest), signal), ALONE);
    assert.deepEqual(asker.outcomes, ['unanswered']);
    assert.deepEqual(asker.asked, [], 'this node is only the third');
  });

  it('get reports to the first only, and resolve when it does not answer', async (t) => {
    const { asker, good, bad } = await start(t, hangs);
    const digest = await digestNear(bad, good.router, asker.router);
    assert.deepEqual(await asker.arbiters.ask(reports(digest), signal), ALONE);
    assert.equal(good.asked.length, 0);
    good.decision = FETCH;
    assert.deepEqual(await asker.arbiters.ask(reports(digest), signal), FETCH);
    assert.equal(asker.outcomes.length, 0, 'reports are not measured');
  });

  it('reject with the reason of the signal, and hold nothing against the arbiter', async (t) => {
    let messages = 0;
    const { asker, good, bad } = await start(t, (stream) => {
      stream.addEventListener('message', () => (messages += 1));
    });
    const digest = await digestNear(bad, good.router, asker.router);
    for (const ask of [wants, reports]) {
      const abort = new AbortController();
      const before = messages;
      const asked = asker.arbiters.ask(ask(digest), abort.signal);
      const rejected = assert.rejects(asked, { name: 'AbortError' });
      await until(() => messages > before);
      abort.abort();
      await rejected;
      await assert.rejects(asker.arbiters.ask(ask(digest), abort.signal), { name: 'AbortError' });
    }
    assert.equal(messages, 2);
  });

  it('are answered while a member asks without end', async (t) => {
    const network = new ArbiterNetwork(t);
    const attacker = await network.start();
    const good = await network.start();
    const calm = await network.start();
    await network.meet();
    const digest = await digestNear(good.router, calm.router, attacker.router);
    good.decision = FETCH;
    const ending = new AbortController();
    const message = encodeQuestion(reports(digest));
    const flood = Array.from({ length: 64 }, async () => {
      while (!ending.signal.aborted) {
        await attacker.router
          .ask(good.router.peerId, message, ending.signal)
          .catch(() => undefined);
        await nextTurn();
      }
    });
    t.after(async () => {
      ending.abort();
      await Promise.all(flood);
    });
    await until(() => good.asked.length > 600);
    await eventually(async () => {
      assert.deepEqual(await calm.arbiters.ask(wants(digest), signal), FETCH);
      assert.ok(good.asked.some(({ from }) => from.peerId === calm.router.peerId));
    });
  });
});
