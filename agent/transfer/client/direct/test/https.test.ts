import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createServer, type TlsOptions, type TLSSocket } from 'node:tls';

import { Authority, noOpenssl } from '../../../../testing/certificates.ts';
import { eventually } from '../../../../testing/eventually.ts';
import { pause } from '../../../../timing/pause.ts';
import { responseHead } from '../../../../testing/rogue-peer.ts';
import { DirectClient, type DirectClientInit } from '../direct-client.ts';

const never = new AbortController().signal;
const BYTES = randomBytes(3_000_000);
const HEAD = responseHead(200, { 'content-length': BYTES.length });

/** Listens until the test ends. Returns the port. */
async function listen(t: TestContext, server: Server): Promise<number> {
  server.on('connection', (socket) => {
    t.after(() => {
      socket.destroy();
    });
  });
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

describe('DirectClient by https', { skip: noOpenssl }, () => {
  let authority: Authority;
  let ca: Buffer;
  let options: TlsOptions;
  before(async () => {
    authority = await Authority.create();
    const { cert, key } = await authority.issue('server');
    ca = await authority.read('ca.crt');
    options = { cert: await readFile(cert), key: await readFile(key) };
  });
  after(async () => {
    await authority[Symbol.asyncDispose]();
  });

  /** A server that answers each part of a request with the blob, and keeps what it got. */
  async function serve(t: TestContext, init: TlsOptions = {}) {
    const sockets: TLSSocket[] = [];
    const requests: string[] = [];
    const greetings: unknown[] = [];
    const server = createServer({ ...options, ...init }, (socket) => {
      sockets.push(socket);
      greetings.push([socket.servername, socket.isSessionReused()]);
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        requests.push(String(data));
        socket.write(HEAD);
        socket.write(BYTES);
      });
    });
    const port = await listen(t, server);
    return { port, sockets, requests, greetings };
  }

  function startClient(t: TestContext, init: Partial<DirectClientInit> = {}): DirectClient {
    const times = { connectTimeout: 5_000, stallTimeout: 5_000 };
    const client = new DirectClient({ ...times, tls: { ca }, ...init });
    t.after(() => {
      client.close();
    });
    return client;
  }

  it('gets bodies in large chunks over a connection that it keeps', async (t) => {
    const { port, sockets, requests } = await serve(t);
    const client = startClient(t);
    for (let turn = 0; turn < 3; turn += 1) {
      const { body } = await client.get(new URL(`https://127.0.0.1:${port}/a`), {}, never);
      assert.equal(body.isMovable, false, 'the bytes of the connection are encrypted');
      const chunks = (await body.toArray()) as Buffer[];
      assert.ok(Buffer.concat(chunks).equals(BYTES));
      assert.ok(chunks.length < BYTES.length / 32_768, `${chunks.length} chunks`);
    }
    assert.equal(sockets.length, 1);
    assert.match(requests[0] ?? '', /^GET \/a HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/);
  });

  it('names a server that has a name, and resumes its session', async (t) => {
    const { port, sockets, greetings } = await serve(t);
    const client = startClient(t);
    for (const host of ['localhost', '127.0.0.1', 'localhost']) {
      const { body } = await client.get(new URL(`https://${host}:${port}/`), {}, never);
      await buffer(body);
      // The next request needs a connection of its own.
      sockets.at(-1)?.destroy();
      await eventually(() => {
        assert.ok(body.closed);
      });
    }
    assert.deepEqual(greetings, [
      ['localhost', false],
      [false, false],
      ['localhost', true],
    ]);
  });

  // With a session of before the name is not compared. TLS 1.2 has one before the name is.
  for (const [what, maxVersion] of [
    ['of an unknown authority', 'TLSv1.3'],
    ['for another name', 'TLSv1.3'],
    ['for another name, by TLS 1.2', 'TLSv1.2'],
  ] as const) {
    it(`sends no byte of its request to a server with a certificate ${what}, again and again`, async (t) => {
      const other = await authority.issue('other', { names: 'DNS:other.example' });
      const wrong = { cert: await readFile(other.cert), key: await readFile(other.key) };
      const isUnknown = what === 'of an unknown authority';
      const { port, requests } = await serve(t, { maxVersion, ...(isUnknown ? {} : wrong) });
      const client = startClient(t, isUnknown ? { tls: {} } : {});
      const code = isUnknown
        ? /UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT_LOCALLY)/
        : /ERR_TLS_CERT_ALTNAME_INVALID/;
      for (let turn = 0; turn < 3; turn += 1) {
        const url = new URL(`https://127.0.0.1:${port}/`);
        const asking = client.get(url, { authorization: 'Bearer secret' }, never);
        await assert.rejects(asking, (error: NodeJS.ErrnoException) => {
          assert.match(error.code ?? '', code);
          return true;
        });
      }
      assert.deepEqual(requests, []);
    });
  }

  it('goes to the address that its function for names gives, and expects the name there', async (t) => {
    const own = await authority.issue('named', { names: 'DNS:storage.example' });
    const named = { cert: await readFile(own.cert), key: await readFile(own.key) };
    const { port, sockets } = await serve(t, named);
    const asked: string[] = [];
    const client = startClient(t, {
      lookup: (hostname, _options, callback) => {
        asked.push(hostname);
        if (hostname === 'storage.example') callback(null, [{ address: '127.0.0.1', family: 4 }]);
        else callback(new Error('an address that is not asked'), []);
      },
    });
    const url = `https://storage.example:${port}/`;
    const { body } = await client.get(new URL(url), {}, never);
    assert.ok((await buffer(body)).equals(BYTES));
    const refused = client.get(new URL(url.replace('storage', 'metadata')), {}, never);
    await assert.rejects(refused, /an address that is not asked/);
    assert.deepEqual(asked, ['storage.example', 'metadata.example']);
    assert.equal(sockets.length, 1);
  });

  it('shows its certificate to a server that asks for one', async (t) => {
    const { cert, key } = await authority.issue('client');
    const { port, sockets } = await serve(t, { ca, requestCert: true, rejectUnauthorized: true });
    const own = { ca, cert: await readFile(cert), key: await readFile(key) };
    const { body } = await startClient(t, { tls: own }).get(
      new URL(`https://127.0.0.1:${port}/`),
      {},
      never,
    );
    assert.ok((await buffer(body)).equals(BYTES));
    assert.equal(sockets[0]?.getPeerCertificate().subject.CN, 'client');
  });

  it('gives up a server that does not finish its handshake', async (t) => {
    const server = createTcpServer((socket) => socket.on('error', () => undefined));
    const port = await listen(t, server);
    const client = startClient(t, { connectTimeout: 100 });
    await assert.rejects(client.get(new URL(`https://127.0.0.1:${port}/`), {}, never), {
      reason: 'connect',
    });
  });

  it('fails a body whose connection ends early, and gives what came before', async (t) => {
    const server = createServer(options, (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.end(Buffer.concat([Buffer.from(HEAD), BYTES.subarray(0, 200_000)]));
      });
    });
    const port = await listen(t, server);
    const { body } = await startClient(t).get(new URL(`https://127.0.0.1:${port}/`), {}, never);
    let got = 0;
    await assert.rejects(
      async () => {
        for await (const chunk of body as AsyncIterable<Buffer>) got += chunk.length;
      },
      { reason: 'body' },
    );
    assert.ok(got > 0 && got <= 200_000, `${got} bytes`);
  });

  it('stops reading while its reader does not read', async (t) => {
    // More than the buffers of both sides and of the kernel.
    const large = Buffer.alloc(64 << 20, 'a');
    const sockets: TLSSocket[] = [];
    const server = createServer(options, (socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.write(responseHead(200, { 'content-length': large.length }));
        socket.write(large);
      });
    });
    const port = await listen(t, server);
    const { body } = await startClient(t).get(new URL(`https://127.0.0.1:${port}/`), {}, never);
    for (let sent = -1; sockets[0]?.bytesWritten !== sent;) {
      sent = sockets[0]?.bytesWritten ?? 0;
      await pause(200, never);
    }
    assert.ok(sockets[0].writableLength > 0, 'the server waits');
    assert.ok(body.readableLength < 1 << 20, `${body.readableLength} bytes wait`);
    assert.ok((await buffer(body)).equals(large));
  });
});
