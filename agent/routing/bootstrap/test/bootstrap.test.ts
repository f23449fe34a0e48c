import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { found, until } from '../../../testing/conformance/router.ts';
import { loadIdentity } from '../../node/identity.ts';
import { Libp2pRouter } from '../../libp2p-router.ts';
import { silent, TestNetwork } from '../../../testing/test-network.ts';
import type { Bootstrapper } from '../bootstrapper.ts';
import { DnsBootstrapper } from '../dns-bootstrapper.ts';
import { HttpBootstrapper } from '../http-bootstrapper.ts';
import { StaticBootstrapper } from '../static-bootstrapper.ts';

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

describe('a router that bootstraps', () => {
  it('reaches live peers among many dead addresses', async () => {
    const a = await network.start();
    const dead = Array.from({ length: 40 }, (_, i) => `/ip4/127.0.1.${String(i + 1)}/tcp/9`);
    const b = await startWith(new StaticBootstrapper([...dead, String(a.listening[0])]));
    await a.advertise(['key']);
    await until(async () => (await found(b, 'key')).length === 1);
    await until(() => b.status().bootstrapped);
  });

  it('reports why no peer can be reached, and finds a peer that comes later', async () => {
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

  it('connects again with a peer that restarts with another identity', async () => {
    const a = await network.start();
    const address = String(a.listening[0]);
    const b = await startWith(new StaticBootstrapper([address]));
    await until(() => b.status().peers === 1);
    await b.advertise(['key']);
    await a.stop();
    const again = await startWith(new StaticBootstrapper([]), address);
    await until(async () => (await found(again, 'key')).length === 1);
  });

  it('finds a peer by its DNS name, and does not count its own address as a peer', async () => {
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

  it('finds a peer by the HTTP answer of that peer', async () => {
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
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '0.0.0.0');
  await until(() => probe.listening);
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}
