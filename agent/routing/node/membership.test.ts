import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId, Topology } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { dhtPeer, MAX_MEMBERS_OF_HOST, Membership, type MembershipInit } from './membership.ts';

const GRACE_MS = 3000;
const UNRESPONSIVE_MS = 30_000;
const ADDRESS = multiaddr('/ip4/10.0.0.7/tcp/5001');

const newId = async (): Promise<PeerId> => peerIdFromPrivateKey(await generateKeyPair('Ed25519'));

const TELLER = dhtPeer(await newId());

/** A routing table with the given peers. */
class FakeTable extends EventTarget {
  readonly ids = new Set<PeerId>();
  readonly kb = { toIterable: () => [...this.ids].map((peerId) => ({ peerId })) };

  add(id: PeerId): void {
    this.ids.add(id);
    this.dispatchEvent(new Event('peer:add'));
  }

  /** Not at once, as in kad-dht. */
  async remove(id: PeerId): Promise<void> {
    await Promise.resolve();
    this.ids.delete(id);
    this.dispatchEvent(new Event('peer:remove'));
  }
}

/** The membership of a node whose connections and clock are those of the test. */
async function start(t: TestContext, init: MembershipInit = { establishedMs: 1000 }) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const table = new FakeTable();
  /** Peer -> IPv4 address of its connection. */
  const connected = new Map<PeerId, string>();
  let topology: Topology = {};
  const own = await newId();
  const node = {
    peerId: own,
    services: { dht: { routingTable: table } },
    register: (_protocol: string, registered: Topology) => {
      topology = registered;
      return Promise.resolve('id');
    },
    unregister: () => undefined,
    getConnections: (id: PeerId) => {
      const ip = connected.get(id);
      return ip === undefined ? [] : [{ remoteAddr: multiaddr(`/ip4/${ip}/tcp/5001`) }];
    },
  };
  const membership = new Membership(node as never, init);
  await membership.start();
  t.after(() => {
    membership.stop();
  });
  let changes = 0;
  membership.onChange(() => changes++);
  return {
    own,
    table,
    membership,
    changes: () => changes,
    ids: () => membership.members().map(({ text }) => text),
    connect: (id: PeerId, from = '10.0.0.7') => {
      connected.set(id, from);
      void topology.onConnect?.(id, {} as never);
    },
    disconnect: (id: PeerId) => {
      connected.delete(id);
      void topology.onDisconnect?.(id);
    },
    pass: (ms: number) => {
      now += ms;
      t.mock.timers.tick(ms);
    },
  };
}

describe('Membership', () => {
  it('has connected peers and those of the routing table, each once, without this node', async (t) => {
    const { own, table, connect, ids, changes, membership } = await start(t);
    const [a, b] = [await newId(), await newId()];
    connect(a);
    for (const id of [a, b, own]) table.add(id);
    assert.deepEqual(ids().sort(), [a, b].map(String).sort());
    assert.equal(changes(), 4);
    assert.equal(membership.members(), membership.members(), 'the same array without a change');
  });

  it('has a bounded number of members at one host, the first ones, and others when those leave', async (t) => {
    const { connect, disconnect, pass, ids, membership } = await start(t);
    const many = await Promise.all(Array.from({ length: 80 }, newId));
    const [first] = many;
    assert.ok(first !== undefined);
    for (const id of many) connect(id, '10.0.0.66');
    const honest = await Promise.all(Array.from({ length: 3 }, newId));
    for (const [index, id] of honest.entries()) connect(id, `10.0.0.${index + 1}`);
    const admitted = [...many.slice(0, MAX_MEMBERS_OF_HOST), ...honest].map(String);
    assert.deepEqual(ids(), admitted);
    assert.deepEqual(
      membership.verified().map(({ text }) => text),
      admitted,
    );
    // What others say of one that is connected changes nothing.
    const last = many.at(-1)?.toString() ?? '';
    assert.equal(membership.learn([{ peerId: last, multiaddrs: [ADDRESS] }], TELLER), 0);
    // Those that are named there count, too.
    const named = {
      peerId: String(await newId()),
      multiaddrs: [multiaddr('/ip4/10.0.0.66/tcp/1')],
    };
    membership.learn([named], TELLER);
    assert.deepEqual(ids(), admitted);
    disconnect(first);
    pass(GRACE_MS);
    assert.deepEqual(ids(), [...many.slice(1, 1 + MAX_MEMBERS_OF_HOST), ...honest].map(String));
  });

  it('has all members at its own host: several nodes of a test', async (t) => {
    const { connect, ids } = await start(t);
    for (let count = 0; count < 30; count++) connect(await newId(), '127.0.0.1');
    assert.equal(ids().length, 30);
  });

  it('removes a peer after a grace period without connection, also from the table', async (t) => {
    const { table, connect, disconnect, pass, ids } = await start(t);
    const a = await newId();
    connect(a);
    table.add(a);
    disconnect(a);
    pass(GRACE_MS - 1);
    assert.deepEqual(ids(), [String(a)]);
    pass(1);
    await turn();
    assert.deepEqual(ids(), []);
    assert.equal(table.ids.size, 0);
  });

  it('keeps a peer that connects again within the grace period', async (t) => {
    const { connect, disconnect, pass, ids, membership } = await start(t);
    const a = await newId();
    connect(a);
    disconnect(a);
    assert.equal(membership.isUnresponsive(String(a)), true);
    connect(a);
    assert.equal(membership.isUnresponsive(String(a)), false);
    pass(GRACE_MS);
    assert.deepEqual(ids(), [String(a)]);
  });

  it('counts a peer as unresponsive until it answers, or for 30 seconds', async (t) => {
    const { pass, membership } = await start(t);
    const [a, b] = [dhtPeer(await newId()), dhtPeer(await newId())];
    const reported: string[] = [];
    membership.onUnresponsive(({ text }) => reported.push(text));
    membership.markUnresponsive(a);
    membership.markUnresponsive(b);
    membership.markResponsive(b);
    assert.deepEqual(reported, [a.text, b.text]);
    const unresponsive = () => [a, b].map(({ text }) => membership.isUnresponsive(text));
    assert.deepEqual(unresponsive(), [true, false]);
    pass(UNRESPONSIVE_MS);
    assert.deepEqual(unresponsive(), [false, false]);
  });

  it('counts a peer as established after a time of uninterrupted connection', async (t) => {
    const { connect, disconnect, pass, membership } = await start(t);
    const a = await newId();
    const isEstablished = () => membership.isEstablished(String(a));
    assert.equal(isEstablished(), false);
    connect(a);
    pass(999);
    assert.equal(isEstablished(), false);
    pass(1);
    assert.equal(isEstablished(), true);
    disconnect(a);
    connect(a);
    assert.equal(isEstablished(), false);
  });

  it('calls back for a peer that is back before it was removed', async (t) => {
    const { connect, disconnect, pass, membership } = await start(t);
    const id = await newId();
    const returns: string[] = [];
    membership.onReturn(({ text }) => returns.push(text));
    connect(id);
    assert.deepEqual(returns, []);
    disconnect(id);
    pass(GRACE_MS - 1);
    connect(id);
    assert.deepEqual(returns, [String(id)]);
    disconnect(id);
    pass(GRACE_MS);
    connect(id);
    assert.equal(returns.length, 1, 'it had left');
  });

  it('has peers that others have named as members, and does not name them to others', async (t) => {
    const { own, connect, disconnect, pass, ids, changes, membership } = await start(t);
    const [a, b] = [await newId(), await newId()];
    const named = [own, a, b].map((id) => ({ peerId: String(id), multiaddrs: [ADDRESS] }));
    connect(b);
    assert.equal(membership.learn(named, TELLER), 1, 'neither this node nor a connected peer');
    assert.deepEqual(ids().sort(), [a, b].map(String).sort());
    assert.deepEqual(
      membership.verified().map(({ text }) => text),
      [String(b)],
    );
    assert.deepEqual(
      [membership.isContact(String(a)), membership.isConnected(String(a))],
      [true, false],
    );
    assert.equal(changes(), 2);
    pass(600);
    assert.equal(membership.isEstablished(String(a)), false, 'it has not answered yet');
    const [contact] = membership.members().filter(({ text }) => text === String(a));
    assert.ok(contact);
    membership.markResponsive(contact);
    pass(600);
    connect(a);
    assert.deepEqual(
      [membership.isContact(String(a)), membership.isConnected(String(a))],
      [false, true],
    );
    pass(400);
    assert.equal(membership.isEstablished(String(a)), true, 'it has answered before');
    disconnect(a);
    pass(GRACE_MS);
    assert.deepEqual(ids(), [String(b)], 'a connection that ended leaves no contact');
  });

  it('does not take a peer for a contact that has just left, when others have not noticed', async (t) => {
    const { connect, disconnect, pass, ids, membership } = await start(t);
    const a = await newId();
    const named = [{ peerId: String(a), multiaddrs: [ADDRESS] }];
    connect(a);
    disconnect(a);
    pass(GRACE_MS);
    assert.equal(membership.learn(named, TELLER), 0);
    assert.deepEqual(ids(), []);
    pass(UNRESPONSIVE_MS - GRACE_MS);
    assert.equal(membership.learn(named, TELLER), 1);
  });

  it('makes a connected peer a contact, when its address is known', async (t) => {
    const [a, b] = [await newId(), await newId()];
    const known = { peerId: String(a), multiaddrs: [ADDRESS] };
    const { connect, disconnect, pass, ids, table, membership } = await start(t, {
      establishedMs: 1000,
      addressesOf: (peerId) => (peerId === known.peerId ? known : undefined),
    });
    membership.onChange(ids);
    for (const id of [a, b]) connect(id);
    table.add(a);
    pass(1000);
    assert.deepEqual(
      [a, b].map((id) => membership.release(dhtPeer(id))),
      [true, false],
    );
    disconnect(a);
    pass(GRACE_MS);
    await turn();
    assert.deepEqual(ids().sort(), [a, b].map(String).sort());
    assert.deepEqual(
      membership.verified().map(({ text }) => text),
      [String(b)],
    );
    assert.equal(membership.isEstablished(String(a)), true);
    assert.equal(membership.isUnresponsive(String(a)), false);
  });

  it('takes a peer whose connection ends for a contact in a network of more members than connections', async (t) => {
    const [a, b] = [await newId(), await newId()];
    const { table, connect, disconnect, pass, ids, membership } = await start(t, {
      addressesOf: (peerId) => ({ peerId, multiaddrs: [ADDRESS] }),
      maxConnections: 1,
    });
    membership.onChange(ids);
    for (const id of [a, b]) connect(id);
    table.add(a);
    disconnect(a);
    pass(GRACE_MS);
    await turn();
    assert.deepEqual(ids().sort(), [a, b].map(String).sort());
    assert.equal(membership.isContact(String(a)), true);
    membership.dropContact(String(a));
    disconnect(b);
    pass(GRACE_MS);
    assert.deepEqual(ids(), [], 'in a small network it has left');
  });

  it('removes a contact that did not answer', async (t) => {
    const { ids, changes, membership } = await start(t);
    const [a, b] = [dhtPeer(await newId()), dhtPeer(await newId())];
    membership.learn(
      [a, b].map(({ text }) => ({ peerId: text, multiaddrs: [ADDRESS] })),
      TELLER,
    );
    membership.markUnresponsive(a);
    assert.deepEqual(ids(), [b.text]);
    membership.dropContact(b.text);
    assert.deepEqual(ids(), []);
    membership.dropContact(b.text);
    assert.equal(changes(), 3);
  });

  it('knows the IP of the connection with a member', async (t) => {
    const { connect, disconnect, membership } = await start(t);
    const a = await newId();
    assert.equal(membership.connectedIp(String(a)), undefined);
    connect(a);
    assert.equal(membership.connectedIp(String(a)), '10.0.0.7');
    disconnect(a);
    assert.equal(membership.connectedIp(String(a)), undefined);
  });
});
