import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { before, describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { quiet } from '../testing/quiet.ts';
import type { TlsMaterial } from '../tls/tls-material.ts';
import { RegistryProbe, type RegistryProbeComponents } from './registry-probe.ts';

/** Without proxies, whatever the environment of the test has. */
const NO_PROXIES = {};

/** Listens on loopback until the test ends; gives the name of a registry there. */
async function open(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function probe(components: Partial<RegistryProbeComponents> = {}, maxRegistries = 64) {
  return new RegistryProbe(
    { logger: quiet, environment: NO_PROXIES, ...components },
    { timeoutMs: 500, maxRegistries },
  );
}

/** A port at which nothing listens. */
async function closedPort(): Promise<string> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

/** A proxy that answers CONNECT with the status, or makes the connection; and what it was asked for. */
async function openProxy(t: TestContext, status: number) {
  const asked: string[] = [];
  const server = createServer().on('connect', ({ url = '' }, socket) => {
    asked.push(url);
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      return;
    }
    const [host = '', port = ''] = url.split(':');
    const far = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      far.pipe(socket).pipe(far);
    });
    far.on('error', () => socket.destroy());
    socket.on('error', () => far.destroy());
  });
  return { asked, url: `http://${await open(t, server)}` };
}

describe('RegistryProbe', { skip: noOpenssl }, () => {
  let material: TlsMaterial;
  before(async () => {
    await using authority = await Authority.create();
    // Not trusted, and of another name.
    material = await authority.material('registry', { names: 'DNS:other.example' });
  });

  const paths: string[] = [];
  const openRegistry = (t: TestContext, status: number): Promise<string> => {
    const { identity } = material;
    assert.ok(identity !== undefined);
    const answer: RequestListener = ({ url = '', headers }, res) => {
      assert.equal(headers.authorization, undefined);
      paths.push(url);
      res.writeHead(status, { location: 'https://elsewhere.invalid/' }).end('x'.repeat(100_000));
    };
    return open(t, createTlsServer({ cert: identity.cert, key: identity.key }, answer));
  };

  for (const status of [200, 401, 307, 404, 503]) {
    it(`takes ${status} as an answer, whatever the certificate`, async (t) => {
      paths.length = 0;
      assert.equal(await probe().answers(await openRegistry(t, status)), true);
      assert.deepEqual(paths, ['/v2/']);
    });
  }

  it('takes a registry without TLS as one that answers', async (t) => {
    const server = createServer((_req, res) => res.end());
    assert.equal(await probe().answers(await open(t, server)), true);
  });

  it('finds that nothing listens, that a name does not exist, and that nothing comes', async (t) => {
    assert.equal(await probe().answers(await closedPort()), false);
    assert.equal(await probe().answers('registry.invalid'), false);
    const silent = createTcpServer((socket) => {
      t.after(() => socket.destroy());
    });
    assert.equal(await probe().answers(await open(t, silent)), false);
  });

  it('asks once at a time, and keeps the result for ten seconds', async (t) => {
    paths.length = 0;
    let now = 0;
    const registry = await openRegistry(t, 401);
    const probing = probe({ now: () => now });
    const answers = await Promise.all([probing.answers(registry), probing.answers(registry)]);
    assert.deepEqual([answers, paths.length], [[true, true], 1]);
    now = 9_999;
    await probing.answers(registry);
    assert.equal(paths.length, 1);
    now = 10_000;
    await probing.answers(registry);
    assert.equal(paths.length, 2);
  });

  it('asks no more registries at a time than its bound, and takes those as answering', async () => {
    let now = 0;
    const probing = probe({ now: () => now }, 1);
    const [first, second] = [await closedPort(), await closedPort()];
    assert.equal(await probing.answers(first), false);
    assert.equal(await probing.answers(second), true);
    now = 10_000;
    assert.equal(await probing.answers(second), false);
  });

  it('has one line in the log for an outage, and one for its end', async (t) => {
    let now = 0;
    const lines: string[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
    const probing = probe({ now: () => now, logger });
    const registry = await closedPort();
    for (const at of [0, 10_000]) {
      now = at;
      assert.equal(await probing.answers(registry), false);
    }
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /"reason":"ECONNREFUSED".*--authorized-outage/);
    const server = createServer((_req, res) => res.end());
    await new Promise<void>((resolve) => {
      server.listen(Number(registry.split(':')[1]), '127.0.0.1', resolve);
    });
    t.after(() => server.close());
    now = 20_000;
    assert.equal(await probing.answers(registry), true);
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /answers again/);
  });

  it('uses the proxy of the environment, unless NO_PROXY has the registry', async (t) => {
    const registry = await openRegistry(t, 401);
    const proxy = await openProxy(t, 200);
    const HTTPS_PROXY = proxy.url;
    assert.equal(await probe({ environment: { HTTPS_PROXY } }).answers(registry), true);
    assert.deepEqual(proxy.asked, [registry]);
    const direct = probe({ environment: { HTTPS_PROXY, NO_PROXY: '127.0.0.1' } });
    assert.equal(await direct.answers(registry), true);
    assert.equal(proxy.asked.length, 1);
  });

  it('takes it as away when the proxy does not reach it or is away, and not when the proxy refuses', async (t) => {
    for (const [status, answers] of [
      [502, false],
      [504, false],
      [403, true],
      [407, true],
    ] as const) {
      const { url } = await openProxy(t, status);
      const environment = { HTTPS_PROXY: url };
      assert.equal(await probe({ environment }).answers('registry.example'), answers, `${status}`);
    }
    const environment = { HTTPS_PROXY: `http://${await closedPort()}` };
    assert.equal(await probe({ environment }).answers('registry.example'), false);
  });

  it('probes nothing with a proxy that this version of Node.js does not know', async () => {
    const registry = await closedPort();
    for (const [nodeVersion, answers] of [
      ['22.20.0', true],
      ['24.4.1', true],
      ['24.5.0', false],
      ['26.0.0', false],
    ] as const) {
      const environment = { HTTPS_PROXY: `http://${registry}` };
      assert.equal(await probe({ environment, nodeVersion }).answers(registry), answers);
    }
    assert.equal(await probe({ nodeVersion: '22.20.0' }).answers(registry), false, 'no proxy');
  });

  it('takes what is no host as answering', async () => {
    assert.equal(await probe().answers('a host?'), true);
  });
});
