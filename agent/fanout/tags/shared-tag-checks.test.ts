import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { CheckedTag, NamedManifest } from '../../content/registry-tags.ts';
import { parseDigest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { until } from '../../testing/conformance/router.ts';
import { answering, TagNetwork, tagNear, type TagNode } from '../../testing/tag-network.ts';
import type { TagDecision } from './tag-question.ts';

const { signal } = new AbortController();
const ORIGIN = 'https://registry.example';

/** A registry, which answers when the test says, with another digest each time. */
class Registry {
  /** Whether it answers at once. */
  isPrompt = false;
  readonly #answers: PromiseWithResolvers<NamedManifest>[] = [];

  get asked(): number {
    return this.#answers.length;
  }

  readonly ask = async (abort: AbortSignal): Promise<NamedManifest> => {
    const answer = Promise.withResolvers<NamedManifest>();
    this.#answers.push(answer);
    if (this.isPrompt) this.answer();
    abort.addEventListener('abort', () => {
      answer.reject(abort.reason as Error);
    });
    return await answer.promise;
  };

  answer(question = this.asked): void {
    const digest = parseDigest(`sha256:${String(question).padStart(64, '0')}`);
    assert.ok(digest);
    const descriptor = { mediaType: MEDIA_TYPE.ociIndex, digest, size: 7 };
    this.#answers[question - 1]?.resolve({ descriptor, origin: ORIGIN });
  }

  fail(error: Error, question = this.asked): void {
    this.#answers[question - 1]?.reject(error);
  }

  /** Answers all, also those that come. */
  answerAll(): void {
    for (let question = 1; question <= this.asked; question += 1) this.answer(question);
  }
}

class Refused extends Error {}

/** What a resolve of a node comes to. */
function check(
  node: Pick<TagNode, 'checks'>,
  name: string,
  registry: Registry,
  { canAsk = true, abort = signal }: { canAsk?: boolean; abort?: AbortSignal } = {},
): Promise<CheckedTag> {
  const isFinal = (error: unknown): boolean => error instanceof Refused;
  return node.checks.check(name, { canAsk, ask: registry.ask, isFinal }, abort);
}

const digestOf = ({ descriptor }: CheckedTag): number => Number(descriptor.digest.slice(7));

/** Nodes, the first of which coordinates the tag. */
async function start(t: TestContext, count: number, leaseMs?: number) {
  const init = leaseMs === undefined ? {} : { leaseMs };
  const nodes = await new TagNetwork(t).startMany(count, init);
  const [coordinator] = nodes;
  assert.ok(coordinator);
  const name = await tagNear(coordinator.router);
  const registry = new Registry();
  const isWaiting = (others: number): Promise<void> =>
    until(() => coordinator.rounds.size.waiting === others);
  return { nodes, coordinator, name, registry, isWaiting };
}

describe('SharedTagChecks', () => {
  it('has one node of eight ask the registry, and all of them learn the answer', async (t) => {
    const { nodes, name, registry, isWaiting } = await start(t, 8);
    const all = Promise.all(nodes.map((node) => check(node, name, registry)));
    await isWaiting(7);
    assert.equal(registry.asked, 1);
    registry.answer();
    const answers = await all;
    assert.deepEqual(answers.map(digestOf), Array(8).fill(1));
    assert.equal(answers.filter(({ isTold }) => isTold).length, 7);
    assert.equal(registry.asked, 1);
  });

  it('has the registry asked again by who comes afterwards', async (t) => {
    const { nodes, name, registry, isWaiting } = await start(t, 3);
    const both = Promise.all(nodes.slice(1).map((node) => check(node, name, registry)));
    await isWaiting(1);
    registry.answer();
    await both;
    for (const node of nodes) {
      const later = check(node, name, registry);
      const asked = registry.asked + 1;
      await until(() => registry.asked === asked);
      registry.answer();
      assert.equal(digestOf(await later), asked);
    }
  });

  it('has another node ask when the first one dies', async (t) => {
    const { nodes, name, registry, isWaiting } = await start(t, 5, 1_500);
    const [, first, ...others] = nodes as [TagNode, TagNode, ...TagNode[]];
    const lost = check(first, name, registry).catch((): undefined => undefined);
    await until(() => registry.asked === 1);
    const rest = Promise.all(others.map((node) => check(node, name, registry)));
    await isWaiting(3);
    registry.isPrompt = true;
    await first.router.stop();
    // On a busy machine a second lease may end, too.
    assert.ok((await rest).some(({ isTold }) => isTold));
    registry.answer(1);
    await lost;
  });

  it('has another node ask when the client of the first one leaves, or the registry does not answer it', async (t) => {
    const { nodes, name, registry, isWaiting } = await start(t, 4);
    const [, first, ...others] = nodes as [TagNode, TagNode, ...TagNode[]];
    for (const how of ['leaves', 'fails']) {
      const leaves = new AbortController();
      const begun = registry.asked;
      registry.isPrompt = false;
      const ended = check(first, name, registry, { abort: leaves.signal });
      await until(() => registry.asked === begun + 1);
      const rest = Promise.all(others.map((node) => check(node, name, registry)));
      await isWaiting(2);
      registry.isPrompt = true;
      if (how === 'leaves') leaves.abort(new Error(how));
      else registry.fail(new Error(how));
      await assert.rejects(ended, new RegExp(how));
      assert.deepEqual((await rest).map(digestOf), [begun + 2, begun + 2]);
    }
  });

  it('has each node hear a refusal from the registry itself', async (t) => {
    const { nodes, name, registry, isWaiting } = await start(t, 4);
    const all = nodes.map((node) => check(node, name, registry));
    const refused = Promise.all(all.map((it) => assert.rejects(it, Refused)));
    await isWaiting(3);
    registry.fail(new Refused());
    await until(() => registry.asked === nodes.length);
    for (const question of [2, 3, 4]) registry.fail(new Refused(), question);
    await refused;
  });

  it('tells a node that the registry limits what another one learns', async (t) => {
    const { nodes, name, registry, isWaiting } = await start(t, 3);
    const [, limited, other] = nodes as [TagNode, TagNode, TagNode];
    const learns = check(other, name, registry);
    await until(() => registry.asked === 1);
    const told = check(limited, name, registry, { canAsk: false });
    await isWaiting(1);
    registry.answer();
    assert.deepEqual([await learns, await told].map(digestOf), [1, 1]);
    const alone = check(limited, name, registry, { canAsk: false });
    await until(() => registry.asked === 2);
    registry.fail(new Error('limited'));
    await assert.rejects(alone, /limited/);
  });

  it('asks by itself when the coordinator leaves', async (t) => {
    const { nodes, coordinator, name, registry, isWaiting } = await start(t, 3);
    const both = nodes.slice(1).map((node) => check(node, name, registry));
    await isWaiting(1);
    await coordinator.router.stop();
    await until(() => registry.asked === 2);
    registry.answerAll();
    assert.deepEqual((await Promise.all(both)).map(digestOf).sort(), [1, 2]);
  });

  it('is held up by no more than the wait in all by a member that says just before its end to ask', async (t) => {
    const network = new TagNetwork(t);
    const node = await network.start({ waitMs: 300 });
    // A question each 20 ms at least, and each eighth of the time: the last one is after 240 ms.
    let questions = 0;
    const liar = answering(() => {
      questions += 1;
      return questions % 12 === 0 ? { kind: 'alone' } : { kind: 'wait', againMs: 0 };
    });
    const hostile = await network.startHostile(liar.serve);
    await network.meet();
    const name = await tagNear(hostile);
    const registry = new Registry();
    registry.isPrompt = true;
    for (let times = 1; times <= 10; times += 1) {
      assert.equal(digestOf(await check(node, name, registry)), times);
    }
    assert.ok(liar.count > 0 && liar.count <= 30, String(liar.count));
  });

  it('asks the registry itself for each tag for which a member has named a digest that does not exist', async (t) => {
    const network = new TagNetwork(t);
    const node = await network.start();
    const digest = parseDigest(`sha256:${'0f'.repeat(32)}`);
    assert.ok(digest);
    const manifest = { mediaType: MEDIA_TYPE.ociIndex, digest, size: 7 };
    const hostile = await network.startHostile(answering({ kind: 'known', manifest }).serve);
    await network.meet();
    const names: string[] = [];
    for (let at = 0; names.length < 3; at += 1) {
      const name = `registry.example/app:${at}`;
      const [first] = await node.router.closest(name, 1);
      if (first?.peerId === hostile.peerId) names.push(name);
    }
    const [third, ...told] = names as [string, ...string[]];
    const registry = new Registry();
    registry.isPrompt = true;
    const ask = async (name: string): Promise<boolean> =>
      (await check(node, name, registry)).isTold;
    for (const name of [...told, ...told]) assert.ok(await ask(name));
    node.checks.doubt(digest);
    for (const name of told) assert.ok(!(await ask(name)));
    assert.equal(registry.asked, told.length);
    assert.ok(await ask(third), 'a tag of which it has said nothing before');
  });

  for (const [what, answer] of Object.entries<TagDecision | Uint8Array>({
    'has all wait, for as long as it can say': { kind: 'wait', againMs: Number.MAX_SAFE_INTEGER },
    'has all wait, and ask again at once': { kind: 'wait', againMs: 0 },
    'gives each the lease, for as long as it can say': {
      ...{ kind: 'ask', againMs: Number.MAX_SAFE_INTEGER },
    },
    'gives each the lease, and has it renewed at once': { kind: 'ask', againMs: 0 },
    'has each ask for itself': { kind: 'alone' },
    'answers with what is no message': Buffer.from('nothing'),
  })) {
    it(`is held up by no more than the wait by a member that ${what}`, async (t) => {
      const network = new TagNetwork(t);
      const node = await network.start({ waitMs: 300 });
      const liar = answering(answer);
      const hostile = await network.startHostile(liar.serve);
      await network.meet();
      const name = await tagNear(hostile);
      const registry = new Registry();
      for (let times = 1; times <= 2; times += 1) {
        const checked = check(node, name, registry);
        await until(() => registry.asked === times);
        registry.answer();
        assert.deepEqual([digestOf(await checked), (await checked).isTold], [times, false]);
      }
      assert.ok(liar.count > 0);
      // A question each 20 ms at most in the first resolve, and none in the second.
      if ('kind' in answer && answer.kind === 'wait') {
        assert.ok(liar.count <= 16, String(liar.count));
      }
    });
  }
});
