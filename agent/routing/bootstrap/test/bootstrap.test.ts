import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';

import { pino } from 'pino';

import { found, until } from '../../../testing/conformance/router.ts';
import { loadIdentity } from '../../node/identity.ts';
import { Libp2pRouter } from '../../libp2p-router.ts';
import { silent, TestNetwork } from '../../../testing/test-network.ts';
import type { Bootstrapper } from '../bootstrapper.ts';
import { DnsBootstrapper } from '../dns-bootstrapper.ts';
import { HttpBootstrapper } from '../http-bootstrapper.ts';
import { StaticBootstrapper } from '../static-bootstrapper.ts';

const noSignal = new AbortController().signal;
let network = new TestNetwork();
let server: Server | undefined;

beforeEach(() => {
  network = new TestNetwork();
});

afterEach(async () => {
  await network.stop();
  server?.close();
  server = undefined;
});

async function startWith(bootstrapper: Bootstrapper, listen = '/ip4/127.0.0.20/tcp/0') {
  const router = new Libp2pRouter(
    { privateKey: await loadIdentity(), bootstrapper, logger: silent },
    { listen: [listen], registryPort: 5000 },
  );
  network.routers.push(router);
  await router.start();
  return router;
}

async function serve(answer: (path: string) => { status?: number; body: string }) {
  const http = createServer((request, response) => {
    const { status = 200, body } = answer(request.url ?? '');
    response.writeHead(status).end(body);
  });
  server = http;
  http.listen(0, '127.0.0.1');
  await until(() => http.listening);
  return `http://127.0.0.1:${String((http.address() as AddressInfo).port)}`;
}

test('dead addresses do not keep a node from those that live', async () => {
  const a = await network.start();
  const dead = Array.from({ length: 40 }, (_, i) => `/ip4/127.0.1.${String(i + 1)}/tcp/9`);
  const b = await startWith(new StaticBootstrapper([...dead, String(a.listening[0])]));
  await a.advertise(['key']);
  await until(async () => (await found(b, 'key')).length === 1);
  await until(() => b.status().bootstrapped);
});

test('a bootstrap that reaches nobody says how many it tried, and where the reasons are', async () => {
  const lines: Record<string, unknown>[] = [];
  const router = new Libp2pRouter(
    {
      privateKey: await loadIdentity(),
      bootstrapper: new StaticBootstrapper(['/ip4/127.0.1.1/tcp/9', '/ip4/127.0.1.2/tcp/9']),
      logger: pino(
        { level: 'warn' },
        { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
      ),
    },
    { listen: ['/ip4/127.0.0.20/tcp/0'], registryPort: 5000 },
  );
  await router.start();
  await until(() => lines.length > 0).finally(() => router.stop());
  assert.equal(lines[0]?.['named'], 2);
  assert.match(String(lines[0]['msg']), /reaches nobody.*\/debug\/status/);
});

test('while nobody can be reached the status says why, and a peer that comes is found', async () => {
  const port = await freePort();
  const address = `/ip4/127.0.0.30/tcp/${String(port)}`;
  const b = await startWith(new StaticBootstrapper([address]));
  await until(() => b.status().bootstrapError !== undefined);
  assert.equal(b.status().bootstrapped, false);
  assert.match(b.status().bootstrapError ?? '', /127\.0\.0\.30/);
  await startWith(new StaticBootstrapper([]), address);
  await until(() => b.status().bootstrapped && b.status().peers === 1);
  assert.equal(b.status().bootstrapError, undefined);
});

test('a peer that restarts with another identity is connected with again', async () => {
  const a = await network.start();
  const address = String(a.listening[0]);
  const b = await startWith(new StaticBootstrapper([address]));
  await until(() => b.status().peers === 1);
  await b.advertise(['key']);
  await a.stop();
  const again = await startWith(new StaticBootstrapper([]), address);
  await until(async () => (await found(again, 'key')).length === 1);
});

test('a static list of ourselves only is a lone node', async () => {
  const port = await freePort();
  const address = `/ip4/127.0.0.31/tcp/${String(port)}`;
  const router = await startWith(new StaticBootstrapper([address]), address);
  await until(() => router.status().bootstrapped);
  assert.equal(router.status().bootstrapError, undefined);
});

test('DNS: every address of the name is a peer at the router port', async () => {
  const peers = await new DnsBootstrapper({ domain: 'localhost', port: 5001 }).find(noSignal);
  const addresses = peers.map(({ multiaddrs }) => String(multiaddrs[0]));
  assert.ok(addresses.includes('/ip4/127.0.0.1/tcp/5001'), addresses.join());
});

test('DNS: a node finds its peer by name, and its own address is not a peer', async () => {
  const port = await freePort();
  const listen = `/ip4/127.0.0.1/tcp/${String(port)}`;
  const a = await startWith(new StaticBootstrapper([]), listen);
  const domain = 'localhost';
  const b = await startWith(new DnsBootstrapper({ domain, port }));
  await until(() => b.status().peers === 1 && a.status().peers === 1);
  await a.stop();
  const alone = await startWith(new DnsBootstrapper({ domain, port }), listen);
  await until(() => alone.status().bootstrapped || alone.status().bootstrapError !== undefined);
});

test('DNS: a name that does not exist is an error that names it', async () => {
  const bootstrapper = new DnsBootstrapper({ domain: 'peers.invalid', port: 5001 });
  await assert.rejects(bootstrapper.find(noSignal), {
    code: 'ERR_BOOTSTRAP',
    message: /peers\.invalid/,
  });
});

test('HTTP: a node finds its peer by the answer of that peer', async () => {
  const a = await network.start();
  const paths: string[] = [];
  const base = await serve((path) => {
    paths.push(path);
    return { body: JSON.stringify(a.identityAnswer()) };
  });
  const b = await startWith(new HttpBootstrapper(`${base}/`));
  await until(() => b.status().peers === 1 && b.status().bootstrapped);
  assert.equal(paths[0], '/id');
});

test('HTTP: one object or a list', async () => {
  const peer = {
    ID: (await network.start()).peerId,
    Addrs: ['/ip4/10.0.0.1/tcp/5001', '/ip6/fd00::1/tcp/5001'],
  };
  for (const body of [JSON.stringify(peer), JSON.stringify([peer])]) {
    const [read, ...rest] = await new HttpBootstrapper(await serve(() => ({ body }))).find(
      noSignal,
    );
    assert.equal(rest.length, 0);
    assert.equal(read?.peerId, peer.ID);
    assert.deepEqual(read.multiaddrs.map(String), peer.Addrs);
    server?.close();
  }
});

test('HTTP: an answer that is none is an error that names the address', async () => {
  const bodies = [
    '',
    'null',
    '{}',
    '{"ID":"x","Addrs":["/ip4/10.0.0.1/tcp/5001"]}',
    '{"ID":"12D3KooWQmYKYNqzRVPNnFQ3Q3XCQtWcG6X5yQ1jAeLC8VmTTqN7","Addrs":["nowhere"]}',
    '{"ID":"12D3KooWQmYKYNqzRVPNnFQ3Q3XCQtWcG6X5yQ1jAeLC8VmTTqN7","Addrs":[]}',
    `"${'x'.repeat(2 * 1024 * 1024)}"`,
  ];
  for (const answer of [...bodies.map((body) => ({ body })), { status: 500, body: '{}' }]) {
    const base = await serve(() => answer);
    await assert.rejects(new HttpBootstrapper(base).find(noSignal), {
      code: 'ERR_BOOTSTRAP',
      message: new RegExp(`${base}/id`),
    });
    server?.close();
  }
  await assert.rejects(new HttpBootstrapper('http://127.0.0.1:9').find(noSignal), {
    code: 'ERR_BOOTSTRAP',
  });
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '0.0.0.0');
  await until(() => probe.listening);
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}
