import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

import { Agent, request } from 'undici';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage } from '../testing/image.ts';
import { startMirror, type MirrorNode } from '../testing/mirror-node.ts';
import { received } from '../testing/raw-http.ts';
import { fixedSource } from '../testing/test-tls.ts';
import type { TlsMaterial } from '../tls/tls-material.ts';
import { HttpListener } from './http-listener.ts';
import type { HandshakeFailure, ListenerTls } from './tls-server.ts';

const image = makeImage(3_000_000);
const [layer = image.manifest.digest] = image.layers;
const layerBytes = image.blobs.get(layer) ?? Buffer.alloc(0);
const path = `/v2/team/app/blobs/${layer}`;

describe('createTlsServer', { skip: noOpenssl }, () => {
  let authority: Authority;
  let material: TlsMaterial;
  let ca: string;
  before(async () => {
    authority = await Authority.create();
    material = await authority.material('node');
    ca = (await authority.read('ca.crt')).toString();
  });
  after(async () => {
    await authority[Symbol.asyncDispose]();
  });

  const plainTls = (change: Partial<ListenerTls> = {}): ListenerTls => ({
    source: fixedSource(material),
    clientAuth: 'none',
    ...change,
  });

  async function start(tls = plainTls(), host?: string): Promise<MirrorNode> {
    const node = await startMirror({ tls, ...(host !== undefined && { host }) });
    putImage(node.store, image);
    return node;
  }

  /** A connection whose TLS handshake is done; rejects when the handshake fails. */
  async function shake(origin: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const { hostname, port } = new URL(origin);
    const host = hostname.replace(/^\[|\]$/g, '');
    const socket = connectTls({ host, port: Number(port), ca, ...options });
    await once(socket, 'secureConnect');
    return socket;
  }

  for (const [host, name] of [
    ['127.0.0.1', 'IPv4'],
    ['::1', 'IPv6'],
  ] as const) {
    it(`serves HTTP/1.1 and HTTP/2 over ${name}, as the client chooses, and counts the protocol`, async () => {
      await using node = await start(plainTls(), host);
      for (const allowH2 of [false, true]) {
        const agent = new Agent({ allowH2, connect: { ca } });
        const get = { dispatcher: agent, headers: { range: 'bytes=1000-' } };
        const { statusCode, headers, body } = await request(`${node.origin}${path}`, get);
        assert.equal(statusCode, 206);
        assert.equal(headers['docker-content-digest'], layer);
        assert.ok(Buffer.from(await body.arrayBuffer()).equals(layerBytes.subarray(1000)));
        await agent.destroy();
      }
      const { values } = await node.metrics.httpRequests.get();
      const counts = values.map(({ labels, value }) => [labels.protocol, value]);
      assert.deepEqual(counts, [
        ['https', 1],
        ['h2', 1],
      ]);
    });
  }

  it('speaks HTTP/2 with a client that offers it, and HTTP/1.1 with one that offers nothing', async () => {
    await using node = await start();
    const agreed = async (ALPNProtocols?: string[]): Promise<string | false | null> => {
      const socket = await shake(node.origin, ALPNProtocols && { ALPNProtocols });
      const { alpnProtocol } = socket;
      socket.destroy();
      return alpnProtocol;
    };
    assert.equal(await agreed(['http/1.1', 'h2']), 'h2');
    assert.equal(await agreed(['http/1.1']), 'http/1.1');
    assert.equal(await agreed(), false);
    await assert.rejects(agreed(['spdy/3']));
  });

  it('requires a certificate where clientAuth says so, and reports why a handshake failed', async () => {
    const reasons: HandshakeFailure[] = [];
    const onFailure = (reason: HandshakeFailure): number => reasons.push(reason);
    await using node = await start(plainTls({ clientAuth: 'require', onFailure }));
    const ask = async (options: ConnectionOptions): Promise<string> => {
      const socket = await shake(node.origin, options);
      socket.write('GET /v2/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
      return await received(socket);
    };
    const { cert, key } = material.identity ?? {};
    assert.match(await ask({ cert, key }), /^HTTP\/1.1 200 /);

    assert.equal(await ask({}), '', 'none');
    await eventually(() => {
      assert.deepEqual(reasons.splice(0), ['client-certificate']);
    });
    await using strangers = await Authority.create('strangers');
    const theirs = (await strangers.material('stranger')).identity;
    assert.equal(await ask({ cert: theirs?.cert, key: theirs?.key }), '', 'of strangers');
    await eventually(() => {
      assert.deepEqual(reasons.splice(0), ['client-certificate']);
    });
    // Node.js would close the connection without an alert.
    const { port } = new URL(node.origin);
    const distrusting = promisify(execFile)('openssl', [
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', strangers.ca],
      ...['-verify_return_error', '-brief'],
    ]);
    await assert.rejects(distrusting);
    await eventually(() => {
      assert.deepEqual(reasons.splice(0), ['distrust']);
    });
    const plain = connect(Number(port), '127.0.0.1');
    plain.on('error', () => undefined);
    plain.write('GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(plain, 'close');
    await eventually(() => {
      assert.deepEqual(reasons.splice(0), ['plain-http']);
    });
  });

  it('does not renegotiate with a client of TLS 1.2', async () => {
    await using node = await start();
    const { host } = new URL(node.origin);
    const program = 'openssl';
    const client = spawn(program, ['s_client', '-connect', host, '-tls1_2'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const said = text(client.stderr);
    // Before it is connected, openssl would take the input for a part of the handshake.
    client.stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes('---\n')) client.stdin.end('R\n');
    });
    client.stdin.on('error', () => undefined);
    await once(client, 'close');
    assert.match(await said, /no renegotiation/i);
  });

  it('closes a connection that speaks another protocol than the negotiated one', async () => {
    await using node = await start();
    const http2 = await shake(node.origin, { ALPNProtocols: ['h2'] });
    http2.write('GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.doesNotMatch(await received(http2), /HTTP\/1\.1/);
    for (const ALPNProtocols of [['http/1.1'], []]) {
      const http1 = await shake(node.origin, { ALPNProtocols });
      http1.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      assert.match(await received(http1), /^HTTP\/1.1 400 /);
    }
  });

  it('accepts no session ticket from before a renewal, because the client may have lost its access', async () => {
    let renew: (next: TlsMaterial) => void = () => undefined;
    const source = { current: material, onChange: (it: typeof renew) => void (renew = it) };
    await using node = await start(plainTls({ source, clientAuth: 'require' }));
    const { cert, key } = material.identity ?? {};
    const first = await shake(node.origin, { cert, key });
    first.write('GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n');
    const [session] = (await once(first, 'session')) as [Buffer];
    first.destroy();
    const again = await shake(node.origin, { cert, key, session });
    assert.ok(again.isSessionReused());
    again.destroy();
    await using strangers = await Authority.create('strangers');
    renew({ ...material, ca: await strangers.read('ca.crt') });
    const last = await shake(node.origin, { cert, key, session });
    last.write('GET /v2/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    assert.equal(await received(last), '');
  });

  it('uses a renewed certificate for new connections, and goes on with earlier ones', async () => {
    let renew: (next: TlsMaterial) => void = () => undefined;
    const source = { current: material, onChange: (it: typeof renew) => void (renew = it) };
    await using node = await start(plainTls({ source }));
    const before = await shake(node.origin);
    renew(await authority.material('renewed'));
    const now = await shake(node.origin);
    assert.equal(before.getPeerCertificate().subject.CN, 'node');
    assert.equal(now.getPeerCertificate().subject.CN, 'renewed');
    before.write('GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.match(String((await once(before, 'data'))[0]), /^HTTP\/1.1 200 /);
    for (const socket of [before, now]) socket.destroy();
  });

  it('closes a connection whose handshake is slow, and one over HTTP/2 without a request', async () => {
    await using node = await startMirror({ tls: plainTls(), listener: { headTimeout: 200 } });
    const silent = connect(Number(new URL(node.origin).port), '127.0.0.1');
    silent.resume();
    await once(silent, 'close');
    const socket = await shake(node.origin, { ALPNProtocols: ['h2'] });
    socket.on('error', () => undefined).resume();
    await once(socket, 'close');
  });

  it('lets requests finish at its end, and cuts off those that exceed the grace period', async () => {
    const held = Promise.withResolvers<undefined>();
    const listen = async (released: Promise<unknown>): Promise<[HttpListener, string]> => {
      const listener = new HttpListener(
        { host: '127.0.0.1', port: 0 },
        '--x',
        async (_req, res, signal) => {
          res.writeHead(200, { 'content-length': 2 }).write('o');
          const gone = once(signal, 'abort');
          await Promise.race([released, gone]);
          if (!signal.aborted) res.end('k');
        },
        { tls: plainTls() },
      );
      return [listener, `https://127.0.0.1:${await listener.start()}`];
    };
    const [listener, origin] = await listen(held.promise);
    const agent = new Agent({ allowH2: true, connect: { ca } });
    const { body } = await request(origin, { dispatcher: agent });
    const idle = connectHttp2(origin, { ca });
    await once(idle, 'connect');
    const stopped = listener.stop(60_000);
    await assert.rejects(shake(origin), 'it takes no more');
    held.resolve(undefined);
    assert.equal(await body.text(), 'ok');
    await agent.destroy();
    await stopped;
    if (!idle.destroyed) await once(idle, 'close');

    const [endless, other] = await listen(new Promise(() => undefined));
    const session = connectHttp2(other, { ca });
    const stream = session.request({ ':path': '/' }).on('error', () => undefined);
    await once(stream, 'response');
    await endless.stop(50);
    session.on('error', () => undefined).destroy();
  });
});
