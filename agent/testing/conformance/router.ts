import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { QuestionHandler } from '../../routing/questions/question-handler.ts';
import type { ClosestMember, Provider, Router } from '../../routing/router.ts';

/** A node of the network under test. */
interface ConformanceNode {
  readonly router: Router;
  /** What other nodes find of it. */
  readonly self: Provider;
}

/** What each of the nodes speaks. */
export const OWN_PROTOCOLS = [
  '/peerglass/announce/1.0.0',
  '/peerglass/echoes/1.0.0',
  '/peerglass/greetings/1.0.0',
  '/peerglass/withdraw/1.0.0',
];

/** Longest question and answer, in bytes. */
const MAX_BYTES = 1024;

/** Answers who asks, and what. It refuses the question `!`. */
export const GREETINGS: QuestionHandler = {
  protocol: '/peerglass/greetings/1.0.0',
  maxBytes: MAX_BYTES,
  answer(fromPeerId, message) {
    const text = Buffer.from(message).toString();
    if (text === '!') throw new Error('refused');
    return Buffer.from(`${fromPeerId}: ${text}`);
  },
};

/** Answers a question with itself. */
const ECHOES: QuestionHandler = {
  protocol: '/peerglass/echoes/1.0.0',
  maxBytes: MAX_BYTES,
  answer: (_, message) => message,
};

/** What each of the nodes answers. */
export const QUESTIONS = [GREETINGS, ECHOES] as const;

/** Three nodes that know each other, each of which answers {@link QUESTIONS}. */
export interface ConformanceNetwork {
  readonly nodes: readonly [ConformanceNode, ConformanceNode, ConformanceNode];
  close(): Promise<void>;
}

/** The contract of {@link Router} in code: every implementation passes it. */
export function routerConformance(name: string, open: () => Promise<ConformanceNetwork>): void {
  describe(`${name} is a router`, () => {
    let network: ConformanceNetwork;
    let a: ConformanceNode;
    let b: ConformanceNode;
    let c: ConformanceNode;
    before(async () => {
      network = await open();
      [a, b, c] = network.nodes;
    });
    after(() => network.close());

    it('finds the keys that other nodes advertise, and not its own', async () => {
      await a.router.advertise(['sha256:one', 'docker.io/library/one:1']);
      for (const key of ['sha256:one', 'docker.io/library/one:1']) {
        assert.deepEqual(await found(b.router, key), [a.self]);
        assert.deepEqual(await found(c.router, key), [a.self]);
        assert.deepEqual(await found(a.router, key), []);
      }
    });

    it('finds all providers of a key, each once', async () => {
      await Promise.all([a.router.advertise(['two']), b.router.advertise(['two'])]);
      assert.deepEqual(byPeer(await found(c.router, 'two')), byPeer([a.self, b.self]));
      assert.deepEqual(await found(a.router, 'two'), [b.self]);
    });

    it('finds no provider of a key that is not advertised', async () => {
      assert.deepEqual(await found(a.router, 'nothing'), []);
    });

    it('takes a key that is advertised twice as one', async () => {
      const keys = a.router.status().advertisedKeys;
      await a.router.advertise(['three', 'three']);
      await a.router.advertise(['three']);
      assert.equal(a.router.status().advertisedKeys, keys + 1);
      assert.deepEqual(await found(b.router, 'three'), [a.self]);
    });

    it('finds no provider of a withdrawn key until it is advertised again', async () => {
      await a.router.advertise(['four']);
      await a.router.withdraw(['four', 'never advertised']);
      assert.deepEqual(await found(b.router, 'four'), []);
      await a.router.advertise(['four']);
      assert.deepEqual(await found(b.router, 'four'), [a.self]);
    });

    it('finds the other providers after a withdrawal', async () => {
      await Promise.all([a.router.advertise(['five']), b.router.advertise(['five'])]);
      await a.router.withdraw(['five']);
      assert.deepEqual(await found(c.router, 'five'), [b.self]);
    });

    it('does not name a forgotten provider until it advertises the key again', async () => {
      await Promise.all([a.router.advertise(['six']), b.router.advertise(['six'])]);
      c.router.forget('six', a.self.peerId);
      assert.deepEqual(await found(c.router, 'six'), [b.self]);
      assert.deepEqual(
        await found(b.router, 'six'),
        [a.self],
        'only the node that forgets leaves it out',
      );
      await a.router.withdraw(['six']);
      await a.router.advertise(['six']);
      assert.deepEqual(byPeer(await found(c.router, 'six')), byPeer([a.self, b.self]));
    });

    it('goes on with a look-up when one of its callers leaves', async () => {
      await Promise.all([a.router.advertise(['seven']), b.router.advertise(['seven'])]);
      const hasty = (async () => {
        for await (const provider of c.router.lookup('seven')) return provider;
        return undefined;
      })();
      const [first, all] = await Promise.all([hasty, found(c.router, 'seven')]);
      assert.ok(first !== undefined);
      assert.deepEqual(byPeer(all), byPeer([a.self, b.self]));
    });

    it('knows the providers of a key without a question, except itself and forgotten ones', async () => {
      await Promise.all([a.router.advertise(['nine']), b.router.advertise(['nine'])]);
      // In a network of three each node keeps all records. They may still be on their way.
      await until(() => c.router.known('nine').length === 2);
      assert.deepEqual(byPeer(c.router.known('nine')), byPeer([a.self, b.self]));
      await until(() => a.router.known('nine').length === 1);
      assert.deepEqual(a.router.known('nine'), [b.self]);
      c.router.forget('nine', a.self.peerId);
      assert.deepEqual(c.router.known('nine'), [b.self]);
      assert.deepEqual(c.router.known('not advertised'), []);
    });

    it('locates the mirrors of connected peers, and no others', async () => {
      await until(() => c.router.locate(a.self.peerId) !== undefined);
      assert.deepEqual(c.router.locate(a.self.peerId), a.self);
      assert.equal(c.router.locate(c.self.peerId), undefined);
      assert.equal(c.router.locate('12D3KooWStranger'), undefined);
      assert.equal(c.router.locate('http://10.0.0.1:5000'), undefined);
    });

    it('knows itself as the others do', () => {
      for (const { router, self } of network.nodes) assert.deepEqual(router.self(), self);
    });

    it('accepts base URLs at which a node can be', () => {
      for (const { origins } of [a.self, b.self]) {
        for (const origin of origins) assert.equal(c.router.accepts(origin), true, origin);
      }
      const refused = [
        'http://169.254.169.254:80',
        'http://[fe80::1]:5000',
        'http://node.example:5000',
        'ftp://10.0.0.1:5000',
        'http://user:secret@10.0.0.1:5000',
        'http://10.0.0.1:5000/path',
        'http://10.1:5000',
        'nothing',
        '',
      ];
      for (const origin of refused) assert.equal(c.router.accepts(origin), false, origin);
    });

    const { signal } = new AbortController();
    const ask = async (from: ConformanceNode, peerId: string, text: string): Promise<string> =>
      Buffer.from(await from.router.ask(peerId, Buffer.from(text), signal)).toString();

    it('asks members, which know who asks', async () => {
      await until(() => c.router.locate(a.self.peerId) !== undefined);
      assert.equal(await ask(c, a.self.peerId, 'one'), `${c.self.peerId}: one`);
      assert.equal(await ask(a, c.self.peerId, ''), `${a.self.peerId}: `);
    });

    it('asks in the protocol that is named, and in no other', async () => {
      const echo = Buffer.from('echo');
      const answer = await c.router.ask(a.self.peerId, echo, signal, ECHOES.protocol);
      assert.deepEqual(Buffer.from(answer), echo);
      const unknown = c.router.ask(a.self.peerId, echo, signal, '/peerglass/unknown/1.0.0');
      await assert.rejects(unknown, { name: 'NotAskedError' });
    });

    it('answers many questions at a time', async () => {
      const texts = Array.from({ length: 100 }, (_, at) => String(at));
      const answers = await Promise.all(texts.map((text) => ask(b, a.self.peerId, text)));
      assert.deepEqual(
        answers,
        texts.map((text) => `${b.self.peerId}: ${text}`),
      );
    });

    it('rejects a question that is refused or too long, and the next is answered', async () => {
      await assert.rejects(ask(b, a.self.peerId, '!'));
      await assert.rejects(ask(b, a.self.peerId, 'x'.repeat(MAX_BYTES + 1)));
      assert.equal(await ask(b, a.self.peerId, 'next'), `${b.self.peerId}: next`);
    });

    it('rejects a question to a peer that it is not connected with', async () => {
      const stranger = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
      for (const peerId of [stranger, 'nothing', '']) {
        await assert.rejects(ask(b, peerId, 'one'), { name: 'NotAskedError' });
      }
    });

    it('asks nothing when the signal is aborted', async () => {
      const asked = b.router.ask(a.self.peerId, Buffer.from('one'), AbortSignal.abort());
      await assert.rejects(asked, { name: 'AbortError' });
    });

    it('ends an aborted look-up without an error', async () => {
      const abort = new AbortController();
      abort.abort();
      assert.deepEqual(await found(b.router, 'one', abort.signal), []);
    });

    it('reports which keys are advertised', async () => {
      assert.equal(a.router.isAdvertised('ten'), false);
      await a.router.advertise(['ten']);
      assert.equal(a.router.isAdvertised('ten'), true);
      assert.equal(b.router.isAdvertised('ten'), false);
      await a.router.withdraw(['ten']);
      assert.equal(a.router.isAdvertised('ten'), false);
    });

    it('names the members closest to a key, itself among them', async () => {
      const describeMembers = (self: ConformanceNode) =>
        byPeer(network.nodes.map(({ self: node }) => node)).map((node) => ({
          ...node,
          protocols: OWN_PROTOCOLS,
          isSelf: node === self.self,
        }));
      for (const node of network.nodes) {
        const members = async (): Promise<ClosestMember[]> =>
          byPeer(await node.router.closest('sha256:one', 20)).map((member) => ({
            ...member,
            protocols: member.protocols.toSorted(),
          }));
        await until(async () => (await members()).every(({ protocols }) => protocols.length > 0));
        assert.deepEqual(await members(), describeMembers(node));
      }
    });

    it('orders the closest members like the other nodes, by the key', async () => {
      await until(() => network.nodes.every(({ router }) => router.status().peers === 2));
      const order = async (
        { router }: ConformanceNode,
        key: string,
        count = 20,
      ): Promise<string[]> => (await router.closest(key, count)).map(({ peerId }) => peerId);
      const first = new Set<string | undefined>();
      for (let i = 0; i < 60; i++) {
        const key = `sha256:${String(i)}`;
        const members = await order(a, key);
        assert.deepEqual(await order(b, key), members);
        assert.deepEqual(await order(c, key), members);
        assert.deepEqual(await order(a, key, 2), members.slice(0, 2), 'no more than asked for');
        first.add(members[0]);
      }
      assert.equal(first.size, 3, 'each is the closest to some of the keys');
    });

    it('rejects advertise and withdraw when the signal is aborted', async () => {
      const signal = AbortSignal.abort();
      await assert.rejects(a.router.advertise(['eight'], signal), { name: 'AbortError' });
      await assert.rejects(a.router.withdraw(['one'], signal), { name: 'AbortError' });
    });

    it('counts the other nodes in its status', async () => {
      await until(() => a.router.status().peers === 2);
      assert.equal(a.router.status().bootstrapped, true);
    });
  });
}

/** All providers that a look-up finds. */
export async function found(
  router: Router,
  key: string,
  signal?: AbortSignal,
): Promise<readonly Provider[]> {
  const providers: Provider[] = [];
  for await (const provider of router.lookup(key, signal)) providers.push(provider);
  return providers;
}

/** Waits for a condition; fails after a minute. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `the condition was not met in time: ${condition.toString()}`);
    await delay(10);
  }
}

function byPeer<T extends Provider>(providers: readonly T[]): T[] {
  return [...providers].sort((a, b) => a.peerId.localeCompare(b.peerId));
}
