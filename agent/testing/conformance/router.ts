import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import type { Provider, Router } from '../../routing/router.ts';

/** A node of the network under test. */
interface ConformanceNode {
  readonly router: Router;
  /** What other nodes are to find of it. */
  readonly self: Provider;
}

/** Three nodes that know each other. */
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

    test('what a node advertises the others find, and itself does not', async () => {
      await a.router.advertise(['sha256:one', 'docker.io/library/one:1']);
      for (const key of ['sha256:one', 'docker.io/library/one:1']) {
        assert.deepEqual(await found(b.router, key), [a.self]);
        assert.deepEqual(await found(c.router, key), [a.self]);
        assert.deepEqual(await found(a.router, key), []);
      }
    });

    test('all providers are found, each once', async () => {
      await Promise.all([a.router.advertise(['two']), b.router.advertise(['two'])]);
      assert.deepEqual(byPeer(await found(c.router, 'two')), byPeer([a.self, b.self]));
      assert.deepEqual(await found(a.router, 'two'), [b.self]);
    });

    test('what nobody advertises is not found', async () => {
      assert.deepEqual(await found(a.router, 'nothing'), []);
    });

    test('advertising twice is advertising once', async () => {
      const keys = a.router.status().advertisedKeys;
      await a.router.advertise(['three', 'three']);
      await a.router.advertise(['three']);
      assert.equal(a.router.status().advertisedKeys, keys + 1);
      assert.deepEqual(await found(b.router, 'three'), [a.self]);
    });

    test('what is withdrawn is not found, and may be advertised again', async () => {
      await a.router.advertise(['four']);
      await a.router.withdraw(['four', 'never advertised']);
      assert.deepEqual(await found(b.router, 'four'), []);
      await a.router.advertise(['four']);
      assert.deepEqual(await found(b.router, 'four'), [a.self]);
    });

    test('a withdrawal leaves the other providers', async () => {
      await Promise.all([a.router.advertise(['five']), b.router.advertise(['five'])]);
      await a.router.withdraw(['five']);
      assert.deepEqual(await found(c.router, 'five'), [b.self]);
    });

    test('what is forgotten is not named again until it is advertised anew', async () => {
      await Promise.all([a.router.advertise(['six']), b.router.advertise(['six'])]);
      c.router.forget('six', a.self.peerId);
      assert.deepEqual(await found(c.router, 'six'), [b.self]);
      assert.deepEqual(await found(b.router, 'six'), [a.self], 'forgotten by the one node only');
      await a.router.withdraw(['six']);
      await a.router.advertise(['six']);
      assert.deepEqual(byPeer(await found(c.router, 'six')), byPeer([a.self, b.self]));
    });

    test('a caller that leaves a look-up does not end those of others', async () => {
      await Promise.all([a.router.advertise(['seven']), b.router.advertise(['seven'])]);
      const hasty = (async () => {
        for await (const provider of c.router.lookup('seven')) return provider;
        return undefined;
      })();
      const [first, all] = await Promise.all([hasty, found(c.router, 'seven')]);
      assert.ok(first !== undefined);
      assert.deepEqual(byPeer(all), byPeer([a.self, b.self]));
    });

    test('what is known without asking is what a look-up names, without ourselves and the forgotten', async () => {
      await Promise.all([a.router.advertise(['nine']), b.router.advertise(['nine'])]);
      // Of three nodes each keeps all records; they may still be on their way to it.
      await until(() => c.router.known('nine').length === 2);
      assert.deepEqual(byPeer(c.router.known('nine')), byPeer([a.self, b.self]));
      await until(() => a.router.known('nine').length === 1);
      assert.deepEqual(a.router.known('nine'), [b.self]);
      c.router.forget('nine', a.self.peerId);
      assert.deepEqual(c.router.known('nine'), [b.self]);
      assert.deepEqual(c.router.known('nobody has it'), []);
    });

    test('where a peer is is known of those who are there, and of nobody else', async () => {
      await until(() => c.router.locate(a.self.peerId) !== undefined);
      assert.deepEqual(c.router.locate(a.self.peerId), a.self);
      assert.equal(c.router.locate(c.self.peerId), undefined);
      assert.equal(c.router.locate('12D3KooWStranger'), undefined);
      assert.equal(c.router.locate('http://10.0.0.1:5000'), undefined);
    });

    test('an aborted look-up ends, without an error', async () => {
      const abort = new AbortController();
      abort.abort();
      assert.deepEqual(await found(b.router, 'one', abort.signal), []);
    });

    test('an aborted call that changes something rejects', async () => {
      const signal = AbortSignal.abort();
      await assert.rejects(a.router.advertise(['eight'], signal), { name: 'AbortError' });
      await assert.rejects(a.router.withdraw(['one'], signal), { name: 'AbortError' });
    });

    test('the status tells of the others', async () => {
      await until(() => a.router.status().peers === 2);
      assert.equal(a.router.status().bootstrapped, true);
    });
  });
}

/** All that a look-up finds. */
export async function found(
  router: Router,
  key: string,
  signal?: AbortSignal,
): Promise<readonly Provider[]> {
  const providers: Provider[] = [];
  for await (const provider of router.lookup(key, signal)) providers.push(provider);
  return providers;
}

/** Waits for a condition; fails after 15 s. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 15_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `waited in vain: ${condition.toString()}`);
    await pause(10);
  }
}

function byPeer(providers: readonly Provider[]): Provider[] {
  return [...providers].sort((a, b) => a.peerId.localeCompare(b.peerId));
}
