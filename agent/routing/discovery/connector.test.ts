import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import type { PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';

import { until } from '../../testing/conformance/router.ts';
import { Seeded } from '../../testing/seeded.ts';
import { SimulatedNetwork } from '../../testing/simulated-network.ts';
import { silent } from '../../testing/test-network.ts';
import { bucketOf, closest, isAmongClosest } from '../dht/kademlia.ts';
import type { DhtPeer } from '../node/membership.ts';
import { NEAR, NEIGHBOURS } from './connection-budget.ts';
import { Connector } from './connector.ts';

const textsOf = (peers: readonly DhtPeer[]) => peers.map(({ text }) => text).sort();

/** A connector among `count` contacts; those that are dialled become connected, unless they are `dead` or stay `unidentified`. */
async function start(t: TestContext, count: number, maxConnections: number, isLarge = false) {
  const [self, ...others] = (await SimulatedNetwork.open(count + 1)).peers;
  assert.ok(self);
  const contacts = others.map((peer) => ({ ...peer, multiaddrs: [] }));
  const dead = new Set<string>();
  const dialled: string[] = [];
  const released: string[] = [];
  const inbound = new Set<string>();
  /** Peers with a second connection, which is inbound. */
  const twice = new Set<string>();
  const closed: string[] = [];
  /** An old connection, the older the earlier its peer was dialled. */
  const connectionWith = (text: string, isInbound = inbound.has(text)) => ({
    remotePeer: peerIdFromString(text),
    id: `${text} ${isInbound ? 'in' : 'out'}`,
    direction: isInbound ? 'inbound' : 'outbound',
    timeline: { open: dialled.indexOf(text) },
    close: () => {
      closed.push(text);
      if (!twice.delete(text)) connected.delete(text);
      return Promise.resolve();
    },
  });
  const connected = new Set<string>();
  const connectionsOf = (text: string) =>
    twice.has(text) ? [connectionWith(text), connectionWith(text, true)] : [connectionWith(text)];
  const unidentified = new Set<string>();
  let atOnce = 0;
  let maxAtOnce = 0;
  let changed = (): void => undefined;
  const connector = new Connector(
    {
      self,
      node: {
        getConnections: (id?: PeerId) =>
          [...connected]
            .filter((text) => id === undefined || text === id.toString())
            .flatMap(connectionsOf),
      } as never,
      client: {
        ping: async ({ text }) => {
          dialled.push(text);
          maxAtOnce = Math.max(maxAtOnce, ++atOnce);
          await turn();
          atOnce -= 1;
          if (dead.has(text)) throw new Error('no answer');
          if (!unidentified.has(text)) connected.add(text);
        },
      },
      membership: {
        members: () => contacts,
        isConnected: (text) => connected.has(text),
        release: ({ text }) => {
          released.push(text);
          return true;
        },
        markUnresponsive: (peer) => {
          contacts.splice(
            contacts.findIndex(({ text }) => text === peer.text),
            1,
          );
          changed();
        },
        onChange: (listener) => {
          changed = listener;
        },
      },
      scale: { isLarge, size: count + 1 },
      logger: silent,
    },
    maxConnections,
  );
  t.after(() => connector.stop());
  const neighbours = () => closest(self.prefix, contacts, NEIGHBOURS);
  return {
    self,
    connector,
    contacts,
    unidentified,
    dead,
    dialled,
    released,
    inbound,
    twice,
    closed,
    connected,
    neighbours,
    most: () => maxAtOnce,
    change: () => {
      changed();
    },
  };
}

describe('Connector', () => {
  it('dials the neighbours first, a few at a time, and no others beyond the maximum', async (t) => {
    const { connector, connected, neighbours, dialled, most } = await start(t, 60, 45);
    connector.start();
    await until(() => connected.size === 36);
    assert.deepEqual(dialled.slice(0, NEIGHBOURS).sort(), textsOf(neighbours()));
    assert.equal(most(), 4);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(dialled.length, 36, 'four fifths of the maximum');
  });

  it('dials twice as many neighbours in a large network', async (t) => {
    const { connector, connected, contacts, self } = await start(t, 100, 1, true);
    connector.start();
    await until(() => connected.size === NEAR);
    assert.deepEqual([...connected].sort(), textsOf(closest(self.prefix, contacts, NEAR)));
  });

  it('dials the neighbours also when there are too many connections', async (t) => {
    const { connector, connected, neighbours } = await start(t, 40, 1);
    connector.start();
    await until(() => connected.size === NEIGHBOURS);
    assert.deepEqual([...connected].sort(), textsOf(neighbours()));
  });

  it('replaces neighbours that cannot be reached by the next closest', async (t) => {
    const { connector, connected, neighbours, dead } = await start(t, 60, 1);
    const unreachable = neighbours().slice(0, 10);
    for (const { text } of unreachable) dead.add(text);
    connector.start();
    await until(() => connected.size === NEIGHBOURS);
    assert.deepEqual([...connected].sort(), textsOf(neighbours()));
  });

  it('ends connections that are not with neighbours when there are too many, the oldest of the fullest bucket', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { self, connector, contacts, connected, dialled, released, neighbours } = await start(
      t,
      100,
      60,
    );
    const byAge = new Seeded('ages').shuffled(contacts).map(({ text }) => text);
    for (const text of byAge.slice(0, 73)) {
      dialled.push(text);
      connected.add(text);
    }
    const near = new Set(textsOf(neighbours()));
    for (const text of near) connected.add(text);
    const tooMany = connected.size - 54;
    connector.start();
    t.mock.timers.tick(10_000);
    assert.equal(released.length, tooMany);
    assert.deepEqual(
      released.filter((text) => near.has(text)),
      [],
    );
    const nearer = new Set(textsOf(closest(self.prefix, contacts, NEAR)));
    const far = contacts.filter(({ text }) => connected.has(text) || released.includes(text));
    const buckets = Map.groupBy(
      far.filter(({ text }) => !nearer.has(text)),
      (peer) => bucketOf(self, peer),
    );
    const [fullest = []] = [...buckets.values()].sort((a, b) => b.length - a.length);
    const ofFullest = byAge.filter((text) => fullest.some((peer) => peer.text === text));
    const ended = released.filter((text) => ofFullest.includes(text));
    assert.ok(ended.length > 0);
    assert.deepEqual(ended, ofFullest.slice(0, ended.length), 'the oldest');
    released.length = 0;
    for (const text of byAge.slice(73, 79)) connected.add(text);
    t.mock.timers.tick(10_000);
    assert.deepEqual(released, [], 'not before there are more than the maximum');
  });

  it('ends connections within a second after there is one too many, those that others made included', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
    const { connector, contacts, connected, inbound, released, neighbours, change } = await start(
      t,
      100,
      80,
    );
    for (const { text } of contacts.slice(0, 80)) {
      connected.add(text);
      inbound.add(text);
    }
    for (const { text } of neighbours()) connected.add(text);
    const atFirst = connected.size;
    connector.start();
    for (const { text } of contacts) if (connected.size <= 80) connected.add(text);
    change();
    t.mock.timers.tick(1000);
    const near = new Set(textsOf(neighbours()));
    assert.ok(atFirst >= 80);
    assert.ok(released.length > 0);
    assert.deepEqual(
      released.filter((text) => near.has(text)),
      [],
    );
    assert.ok(released.every((text) => inbound.has(text)));
  });

  it('keeps a peer connected that it also has a connection with that the peer has made', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { self, connector, contacts, connected, twice, closed, released, neighbours } =
      await start(t, 100, 60);
    for (const text of textsOf(neighbours())) connected.add(text);
    const near = closest(self.prefix, contacts, NEAR);
    const far = contacts.filter(
      (peer) =>
        !near.includes(peer) && !isAmongClosest(self, peer.prefix, contacts, NEIGHBOURS + 1),
    );
    for (const { text } of far.slice(0, 20)) {
      connected.add(text);
      twice.add(text);
    }
    connector.start();
    t.mock.timers.tick(10_000);
    assert.equal(closed.length, 18);
    assert.deepEqual(released, []);
  });

  it('does not dial a peer again at once that answers and becomes no member', async (t) => {
    const { connector, contacts, unidentified, dialled } = await start(t, 5, 10);
    for (const { text } of contacts) unidentified.add(text);
    connector.start();
    await until(() => dialled.length === 5);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(dialled.length, 5);
  });
});
