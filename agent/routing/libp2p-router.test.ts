import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import type { Identify } from '@libp2p/identify';
import type { Libp2p, ServiceMap } from '@libp2p/interface';
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import type { KadDHT } from '@libp2p/kad-dht';
import { ping } from '@libp2p/ping';
import type { Ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { createLibp2p } from 'libp2p';
import type { ServiceFactoryMap } from 'libp2p';

import {
  found,
  GREETINGS,
  QUESTIONS,
  routerConformance,
  until,
} from '../testing/conformance/router.ts';
import { keyToCid } from './dht/key.ts';
import { DHT_PROTOCOL, routingTableOf } from './node/libp2p-node.ts';
import type { RoutingNode } from './node/libp2p-node.ts';
import type { Libp2pRouter } from './libp2p-router.ts';
import type { ClosestMember } from './router.ts';
import { TestNetwork } from '../testing/test-network.ts';
import { eventually } from '../testing/eventually.ts';

routerConformance('the libp2p router', async () => {
  const network = new TestNetwork();
  const [a, b, c] = (await network.startMany(3, {}, { questions: QUESTIONS })).map((router, i) => ({
    router,
    self: {
      peerId: router.peerId,
      origins: [`http://127.0.0.${String(i + 1)}:${String(5001 + i)}`],
    },
  }));
  assert.ok(a && b && c);
  return { nodes: [a, b, c], close: () => network.stop() };
});

/** A libp2p node that is no agent. */
function startForeignNode<T extends ServiceMap>(
  services: ServiceFactoryMap<T>,
): Promise<Libp2p<T>> {
  return createLibp2p<T>({
    addresses: { listen: ['/ip4/127.0.0.99/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services,
  });
}

async function idsOf(router: Libp2pRouter, key: string, signal?: AbortSignal): Promise<string[]> {
  return (await found(router, key, signal)).map(({ peerId }) => peerId);
}

let network = new TestNetwork();

beforeEach(() => {
  network = new TestNetwork();
});

afterEach(() => network.stop());

describe('Libp2pRouter', () => {
  it('is bootstrapped as the only node, and advertises and looks up', async () => {
    const router = await network.start();
    await until(() => router.status().bootstrapped);
    await router.advertise(['key']);
    assert.deepEqual(await found(router, 'key'), []);
    assert.deepEqual(router.status(), {
      peers: 0,
      advertisedKeys: 1,
      records: 1,
      bootstrapped: true,
    });
  });

  it('counts the peers that speak a protocol', async () => {
    const first = await network.start([], {}, { questions: QUESTIONS });
    const { protocol } = GREETINGS;
    assert.deepEqual(first.countSpeakers(protocol), { peers: 0, speakers: 0 });
    await network.start([first], {}, { questions: QUESTIONS });
    await network.start([first]);
    await until(() => first.countSpeakers(protocol).peers === 2);
    await until(() => first.countSpeakers(protocol).speakers === 1);
    assert.deepEqual(first.countSpeakers('/peerglass/unknown/1.0.0'), { peers: 2, speakers: 0 });
  });

  it('finds the keys of four other nodes', async () => {
    const routers = await network.startMany(5);
    await Promise.all(
      routers.map((router, i) =>
        router.advertise(Array.from({ length: 50 }, (_, k) => `${String(i)}/${String(k)}`)),
      ),
    );
    for (const [i, router] of routers.entries()) {
      for (const [j, other] of routers.entries()) {
        const providers = await found(router, `${String(j)}/${String(i * 10)}`);
        assert.deepEqual(
          providers.map(({ peerId }) => peerId),
          i === j ? [] : [other.peerId],
        );
      }
    }
  });

  it('sends its records to a node that joins later', async () => {
    const a = await network.start();
    await a.advertise(Array.from({ length: 1200 }, (_, k) => `key ${String(k)}`));
    const b = await network.start([a]);
    await until(() => b.status().records === 1200);
    assert.deepEqual(
      (await found(b, 'key 0')).map(({ origins }) => origins),
      [['http://127.0.0.1:5001']],
    );
  });

  it('provides records again before they expire, and they expire after its stop', async () => {
    const [a, b] = await network.startMany(2, { refreshMs: 200, validityMs: 2000 });
    assert.ok(a && b);
    await a.advertise(['key']);
    const end = Date.now() + 2500;
    await until(async () => {
      assert.equal((await found(b, 'key')).length, 1);
      return Date.now() > end;
    });
    await a.stop();
    await until(async () => (await found(b, 'key')).length === 0);
  });

  it('ends a look-up when peers are dead', async () => {
    const routers = await network.startMany(5);
    const [a, b, ...others] = routers;
    assert.ok(a && b);
    await a.advertise(['key']);
    await Promise.all(others.map((router) => router.stop()));
    assert.deepEqual(
      (await found(b, 'key')).map(({ peerId }) => peerId),
      [a.peerId],
    );
    assert.deepEqual(await found(b, 'nothing'), []);
    await until(() => b.status().peers === 1);
  });

  it('delays a look-up by the timeout of a peer that does not answer, and no longer', async () => {
    const peer = await startForeignNode({ identify: identify() });
    try {
      await peer.handle(DHT_PROTOCOL, () => undefined);
      const a = await network.start([], { peerTimeoutMs: 200 });
      const b = await network.start([a]);
      await peer.dial(a.listening[0] ?? []);
      await until(() => a.status().peers === 2);
      await b.advertise(['key']);
      assert.deepEqual(await idsOf(a, 'key'), [b.peerId]);
      assert.deepEqual(await idsOf(a, 'nothing'), []);
      assert.deepEqual(await idsOf(a, 'nothing', AbortSignal.timeout(20)), []);
    } finally {
      await peer.stop();
    }
  });

  it('removes a peer that never answers from the members after a while', async () => {
    const peer = await startForeignNode({ identify: identify() });
    try {
      await peer.handle(DHT_PROTOCOL, () => undefined);
      const a = await network.start([], { peerTimeoutMs: 100 });
      await peer.dial(a.listening[0] ?? []);
      await until(() => a.status().peers === 1);
      assert.deepEqual(await idsOf(a, 'nothing'), []);
      await until(() => a.status().peers === 0);
    } finally {
      await peer.stop();
    }
  });

  it('exchanges keys with a node that speaks the DHT protocol only', async () => {
    // Like a node of Spegel: the DHT without changes, and no registry among its addresses.
    const peer = await startForeignNode<{ identify: Identify; ping: Ping; dht: KadDHT }>({
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: DHT_PROTOCOL,
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
      }),
    });
    try {
      const a = await network.start();
      await peer.dial(a.listening[0] ?? []);
      await until(() => a.status().peers === 1);
      // It learns what the router speaks from a message of its own.
      await until(() => routingTableOf(peer as unknown as RoutingNode).size === 1);
      await a.advertise(['ours']);
      const providers: string[][] = [];
      for await (const { id, multiaddrs } of peer.contentRouting.findProviders(keyToCid('ours'))) {
        providers.push([id.toString(), ...multiaddrs.map(String).sort()]);
      }
      const announced = ['/ip4/127.0.0.1/tcp/5001/http', String(a.listening[0])].sort();
      assert.deepEqual(providers, [[a.peerId, ...announced]]);

      await peer.contentRouting.provide(keyToCid('theirs'));
      await until(async () => (await found(a, 'theirs')).length > 0);
      assert.deepEqual(await found(a, 'theirs'), [
        {
          peerId: peer.peerId.toString(),
          origins: ['http://127.0.0.99:5001', 'http://127.0.0.99:5000'],
        },
      ]);
      await a.withdraw(['ours']);
      assert.deepEqual(await idsOf(a, 'ours'), []);
    } finally {
      await peer.stop();
    }
  });

  it('answers many look-ups at once', async () => {
    const [a, b] = await network.startMany(3);
    assert.ok(a && b);
    const keys = Array.from({ length: 200 }, (_, k) => `key ${String(k)}`);
    await a.advertise(keys);
    let left = keys;
    // On a busy machine some peers are late in one round.
    await eventually(async () => {
      const [answers, none] = await Promise.all(
        [left, keys.map((key) => `no ${key}`)].map((some) =>
          Promise.all(some.map((key) => found(b, key))),
        ),
      );
      assert.ok(none?.every((providers) => providers.length === 0));
      left = left.filter((_, at) => answers?.[at]?.length !== 1);
      assert.deepEqual(left, []);
    });
  });

  it('rejects a port in use with its address', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await until(() => server.listening);
    try {
      const { port } = server.address() as AddressInfo;
      await assert.rejects(
        network.start([], {
          listen: [`/ip4/127.0.0.2/tcp/0`, `/ip4/127.0.0.1/tcp/${String(port)}`],
        }),
        {
          name: 'RouterListenError',
          code: 'ERR_ROUTER_LISTEN',
          address: `127.0.0.1:${String(port)}`,
          systemCode: 'EADDRINUSE',
        },
      );
    } finally {
      server.close();
    }
  });

  it('listens on IPv4 and IPv6 side by side', async () => {
    const listen = ['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0'];
    const router = await network.start([], { listen });
    assert.equal(router.listening.length, 2);
  });

  it('starts without an IPv6 address that the host does not have', async () => {
    const router = await network.start([], {
      listen: ['/ip4/127.0.0.1/tcp/0', '/ip6/2001:db8::1/tcp/0'],
    });
    assert.equal(router.listening.length, 1);
    await assert.rejects(network.start([], { listen: ['/ip4/203.0.113.1/tcp/0'] }), {
      systemCode: 'EADDRNOTAVAIL',
    });
  });

  it('answers a bootstrap request with dialable addresses only', async () => {
    const router = await network.start();
    assert.deepEqual(router.identityAnswer(), {
      ID: router.peerId,
      Addrs: router.listening.map(String),
    });
  });

  it('withdraws its records when it stops', async () => {
    const [a, b] = await network.startMany(3);
    assert.ok(a && b);
    await a.advertise(['key']);
    await until(() => b.status().records === 1);
    await a.stop();
    await until(() => b.status().records === 0);
  });

  it('finds no provider before its start and after its stop', async () => {
    const router = await network.start();
    await router.stop();
    assert.deepEqual(await found(router, 'key'), []);
  });

  it('names members that are not agents among the closest, without protocols of ours', async () => {
    const peer = await startForeignNode({ identify: identify() });
    try {
      await peer.handle(DHT_PROTOCOL, () => undefined);
      const [a, b] = await network.startMany(2);
      assert.ok(a && b);
      await peer.dial(a.listening[0] ?? []);
      await until(async () => (await a.closest('key', 20)).length === 3);
      const members = (): Promise<readonly ClosestMember[]> => a.closest('key', 20);
      await until(
        async () => (await members()).filter(({ protocols }) => protocols.length > 0).length === 2,
      );
      const foreign = (await members()).find(({ peerId }) => peerId === peer.peerId.toString());
      assert.deepEqual(foreign?.protocols, []);
      assert.ok(foreign.origins.length > 0, 'its registry is assumed at the default port');
    } finally {
      await peer.stop();
    }
  });

  it('calls back when a member has come and when one has gone', async () => {
    const [a] = await network.startMany(2);
    assert.ok(a);
    await until(() => a.status().peers === 1);
    let calls = 0;
    const stop = a.onMembersChange(() => (calls += 1));
    const c = await network.start([a]);
    await until(() => calls > 0 && a.status().peers === 2);
    calls = 0;
    await c.stop();
    await until(() => calls > 0 && a.status().peers === 1);
    stop();
    calls = 0;
    await network.start([a]);
    await until(() => a.status().peers === 2);
    await delay(600);
    assert.equal(calls, 0);
  });

  it('names no member before its start and after its stop', async () => {
    const router = await network.start();
    assert.deepEqual(
      (await router.closest('key', 20)).map(({ isSelf }) => isSelf),
      [true],
    );
    await router.stop();
    assert.deepEqual(await router.closest('key', 20), []);
  });
});
