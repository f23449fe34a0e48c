import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Stream } from '@libp2p/interface';

import type { Libp2pRouter } from '../../routing/libp2p-router.ts';
import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import { answering, TagNetwork, tagNear, type TagNode } from '../../testing/tag-network.ts';
import { TagCoordinators, type Coordinated } from './tag-coordinators.ts';
import type { TagQuestion } from './tag-question.ts';
import { TagRounds } from './tag-rounds.ts';

const { signal } = new AbortController();
const WANTS: TagQuestion = { tag: '0f'.repeat(32), state: 'wants', id: 7, canAsk: true };

/** An asker, a member that works, and one that does as the test says. */
async function start(
  t: TestContext,
  serve?: (stream: Stream) => void,
): Promise<{ asker: TagNode; good: TagNode; bad: Libp2pRouter }> {
  const network = new TagNetwork(t);
  const asker = await network.start();
  const good = await network.start();
  const bad = await network.startHostile(serve);
  await network.meet(...(serve === undefined ? [bad] : []));
  return { asker, good, bad };
}

const memberOf = (asked: Coordinated | undefined): string | undefined => asked?.member.peerId;

describe('TagCoordinators', () => {
  it('ask the closest member, and go on with that one', async (t) => {
    const { asker, good, bad } = await start(t);
    const name = await tagNear(good.router, bad, asker.router);
    const asked = await asker.coordinators.ask(name, WANTS, signal);
    assert.equal(asked?.kind, 'ask');
    assert.equal(memberOf(asked), good.router.peerId);
    const asks = { ...WANTS, state: 'asks' } as const;
    const renewed = await asker.coordinators.askAgain(asked.member, asks, signal);
    assert.equal(renewed?.kind, 'ask');
    assert.deepEqual(good.asked, [WANTS, asks]);
    // The second closest is asked too when the answer takes 30 ms, as on a busy machine.
    assert.ok(asker.asked.every(({ state }) => state === 'wants'));
  });

  it('are this node itself where it is the closest', async (t) => {
    const { asker, good, bad } = await start(t);
    const name = await tagNear(asker.router, good.router, bad);
    const asked = await asker.coordinators.ask(name, WANTS, signal);
    assert.equal(memberOf(asked), asker.router.peerId);
    assert.deepEqual(good.asked, []);
  });

  it('are no members that do not speak the protocol, as older ones', async (t) => {
    const { asker, good, bad } = await start(t);
    const name = await tagNear(bad, good.router, asker.router);
    const asked = await asker.coordinators.ask(name, WANTS, signal);
    assert.equal(memberOf(asked), good.router.peerId);
  });

  it('are the second closest where the first breaks the protocol', async (t) => {
    const liar = answering(Buffer.from('no message'));
    const { asker, good, bad } = await start(t, liar.serve);
    const name = await tagNear(bad, good.router, asker.router);
    for (let times = 0; times < 2; times += 1) {
      const asked = await asker.coordinators.ask(name, WANTS, signal);
      assert.equal(memberOf(asked), good.router.peerId);
    }
    assert.equal(liar.count, 2);
  });

  it('are the second closest where the first hangs, if that knows of others at once', async (t) => {
    const { asker, good, bad } = await start(t, () => undefined);
    const name = await tagNear(bad, good.router, asker.router);
    good.rounds.answer('another', WANTS);
    const asked = await asker.coordinators.ask(name, WANTS, signal);
    assert.equal(asked?.kind, 'wait');
    assert.equal(memberOf(asked), good.router.peerId);
  });

  it('do not answer where none can', async () => {
    const router = new MemoryRouter({ network: new MemoryNetwork() }, { peerId: 'a', origins: [] });
    const coordinators = new TagCoordinators({ router, rounds: new TagRounds() });
    assert.equal(await coordinators.ask('name', WANTS, signal), undefined);
    const slow = { ...{ self: () => router.self(), ask: router.ask.bind(router) } };
    const never = new TagCoordinators(
      { router: { ...slow, closest: () => new Promise(() => undefined) }, rounds: new TagRounds() },
      { giveUpAfterMs: 20 },
    );
    assert.equal(await never.ask('name', WANTS, signal), undefined);
  });

  it('do not answer again once they have left', async (t) => {
    const { asker, good, bad } = await start(t);
    const name = await tagNear(good.router, bad, asker.router);
    const asked = await asker.coordinators.ask(name, WANTS, signal);
    assert.ok(asked);
    await good.router.stop();
    assert.equal(await asker.coordinators.askAgain(asked.member, WANTS, signal), undefined);
  });

  it('throw the reason of the signal', async (t) => {
    const { asker, bad } = await start(t, () => undefined);
    const name = await tagNear(bad);
    const leaves = new AbortController();
    const asked = asker.coordinators.ask(name, WANTS, leaves.signal);
    leaves.abort(new Error('left'));
    await assert.rejects(asked, /left/);
  });
});
