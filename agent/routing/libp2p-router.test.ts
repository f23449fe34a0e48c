import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';

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

import { found, routerConformance, until } from '../testing/conformance/router.ts';
import { keyToCid } from './dht/key.ts';
import { DHT_PROTOCOL } from './node/libp2p-node.ts';
import type { Libp2pRouter } from './libp2p-router.ts';
import { TestNetwork } from '../testing/test-network.ts';

routerConformance('the libp2p router', async () => {
  const network = new TestNetwork();
  const [a, b, c] = (await network.startMany(3)).map((router, i) => ({
    router,
    self: {
      peerId: router.peerId,
      origins: [`http://127.0.0.${String(i + 1)}:${String(5001 + i)}`],
    },
  }));
  assert.ok(a && b && c);
  return { nodes: [a, b, c], close: () => network.stop() };
});

/** A libp2p node that is not one of ours. */
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

test('a lone node is bootstrapped, advertises and looks up', async () => {
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

test('five nodes find the keys of each other', async () => {
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

test('a node that joins later is given the records that are there already', async () => {
  const a = await network.start();
  await a.advertise(Array.from({ length: 1200 }, (_, k) => `key ${String(k)}`));
  const b = await network.start([a]);
  await until(() => b.status().records === 1200);
  assert.deepEqual(
    (await found(b, 'key 0')).map(({ origins }) => origins),
    [['http://127.0.0.1:5001']],
  );
});

test('records are placed anew before they expire, and expire when nobody does', async () => {
  const [a, b] = await network.startMany(2, { refreshMs: 300, validityMs: 600 });
  assert.ok(a && b);
  await a.advertise(['key']);
  const end = Date.now() + 1500;
  await until(async () => {
    assert.equal((await found(b, 'key')).length, 1);
    return Date.now() > end;
  });
  await a.stop();
  await until(async () => (await found(b, 'key')).length === 0);
});

test('look-ups end when peers are dead', async () => {
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

test('a peer that takes a question and says nothing delays look-ups by its time-out', async () => {
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

test('a peer that takes questions and never answers is a member no longer after a while', async () => {
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

test('a node that speaks the DHT protocol only finds our keys, and we find its', async () => {
  // What a node of Spegel is to us: kad-dht as it comes, no registry among its addresses.
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

test('many look-ups at once are all answered', async () => {
  const [a, b] = await network.startMany(3);
  assert.ok(a && b);
  const keys = Array.from({ length: 200 }, (_, k) => `key ${String(k)}`);
  await a.advertise(keys);
  const answers = await Promise.all(
    [...keys, ...keys.map((key) => `no ${key}`)].map((key) => found(b, key)),
  );
  assert.equal(answers.filter((providers) => providers.length === 1).length, keys.length);
});

test('a port in use is an error that names it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await until(() => server.listening);
  try {
    const { port } = server.address() as AddressInfo;
    await assert.rejects(
      network.start([], { listen: [`/ip4/127.0.0.2/tcp/0`, `/ip4/127.0.0.1/tcp/${String(port)}`] }),
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

test('IPv4 and IPv6 are listened on side by side', async () => {
  const listen = ['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0'];
  const router = await network.start([], { listen });
  assert.equal(router.listening.length, 2);
});

test('an IPv6 address that the host does not have is no reason not to start', async () => {
  const router = await network.start([], {
    listen: ['/ip4/127.0.0.1/tcp/0', '/ip6/2001:db8::1/tcp/0'],
  });
  assert.equal(router.listening.length, 1);
  await assert.rejects(network.start([], { listen: ['/ip4/203.0.113.1/tcp/0'] }), {
    systemCode: 'EADDRNOTAVAIL',
  });
});

test('what others are told for their bootstrap has no address that is not for dialling', async () => {
  const router = await network.start();
  assert.deepEqual(router.identityAnswer(), {
    ID: router.peerId,
    Addrs: router.listening.map(String),
  });
});

test('a node that stops takes its records back', async () => {
  const [a, b] = await network.startMany(3);
  assert.ok(a && b);
  await a.advertise(['key']);
  await until(() => b.status().records === 1);
  await a.stop();
  await until(() => b.status().records === 0);
});

test('a look-up finds nobody before the start and after the end', async () => {
  const router = await network.start();
  await router.stop();
  assert.deepEqual(await found(router, 'key'), []);
});
