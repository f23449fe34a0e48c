import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { Authority, noOpenssl } from '../../../testing/certificates.ts';
import { eventually } from '../../../testing/eventually.ts';
import { makeImage, sha256 } from '../../../testing/image.ts';
import { fixedSource } from '../../../testing/test-tls.ts';
import { startParent, VERIFIED_SIZE, type ParentNode } from '../../../testing/parent-node.ts';

const PATIENCE = { timeout: 300_000 };
const BYTES = randomBytes(24_000_000);
const DIGEST = sha256(BYTES);
const TOTAL = BYTES.length;
const STEP = 500_000;

/** A follower over a connection of its own. */
class Client {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  /** How the connection ended: by FIN, or by an error. */
  readonly ended: Promise<string>;

  constructor(t: TestContext, url: string, fields: Readonly<Record<string, string>> = {}) {
    const { port, pathname, search } = new URL(url);
    const all = {
      ...{ host: 'a', 'x-spegel-mirrored': 'true', 'peerglass-follow': '1' },
      ...fields,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket = connect(Number(port), '127.0.0.1');
    t.after(() => this.socket.destroy());
    this.ended = new Promise((resolve) => {
      this.socket.once('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code ?? '');
      });
      this.socket.once('end', () => {
        resolve('FIN');
      });
    });
    this.socket.on('data', (chunk: Buffer) => this.chunks.push(chunk));
    this.socket.write(`GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`);
  }

  /** The head of the answer; empty before it is there. */
  get head(): string {
    return Buffer.concat(this.chunks.slice(0, 4)).toString('latin1').split('\r\n\r\n')[0] ?? '';
  }

  get body(): Buffer {
    const all = Buffer.concat(this.chunks);
    const end = all.indexOf('\r\n\r\n');
    return end < 0 ? Buffer.alloc(0) : all.subarray(end + 4);
  }

  get length(): number {
    const { head } = this;
    const bytes = this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    return head === '' ? 0 : bytes - Buffer.byteLength(head, 'latin1') - 4;
  }

  async status(): Promise<number> {
    await eventually(() => {
      assert.match(this.head, /^HTTP\/1\.1 \d/);
    });
    return Number(this.head.slice(9, 12));
  }

  async has(bytes: number): Promise<void> {
    await eventually(() => {
      assert.equal(this.length, bytes);
    });
  }

  assertIs(start: number, end: number): void {
    assert.ok(this.body.equals(BYTES.subarray(start, end)));
  }
}

/** Waits until one more may follow. */
async function roomy({ followers }: ParentNode): Promise<void> {
  await eventually(() => {
    assert.ok(followers.state(DIGEST).isRoomy);
  });
}

for (const mode of ['auto', 'stream'] as const) {
  describe(`following a download over ${mode}`, PATIENCE, () => {
    it('gives several followers the same bytes while they are written', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      const clients: Client[] = [];
      for (let at = 0; at < TOTAL; at += STEP) {
        if (at % (3 * STEP) === 0 && clients.length < 4) {
          await roomy(node);
          const client = new Client(t, node.url(DIGEST));
          assert.equal(await client.status(), 200);
          clients.push(client);
        }
        await download.write(BYTES.subarray(at, at + STEP));
      }
      assert.equal(clients.length, 4);
      for (const client of clients) {
        await client.has(TOTAL);
        assert.match(client.head, /content-length: 24000000\r\n/i);
        client.assertIs(0, TOTAL);
      }
      await eventually(() => {
        assert.equal(node.followers.state(DIGEST).children, 0);
      });
    });

    it('sends the head before the first byte has arrived', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      const client = new Client(t, node.url(DIGEST));
      assert.equal(await client.status(), 200);
      assert.equal(client.length, 0);
      assert.deepEqual(node.followers.addresses(DIGEST), ['127.0.0.1']);
      await download.write(BYTES.subarray(0, 1));
      await client.has(1);
      client.assertIs(0, 1);
    });

    it('goes on after the commit, also when the store gets to know it later', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      await download.write(BYTES.subarray(0, STEP));
      const client = new Client(t, node.url(DIGEST));
      await client.has(STEP);
      client.socket.pause();
      await download.write(BYTES.subarray(STEP));
      await download.commit();
      await new Promise(setImmediate);
      download.confirm(BYTES);
      client.socket.resume();
      await client.has(TOTAL);
      client.assertIs(0, TOTAL);
    });

    for (const end of ['abort', 'restart'] as const) {
      it(`ends the body by FIN at ${end}`, async (t) => {
        const node = await startParent(t, { mode });
        const download = await node.begin(DIGEST, TOTAL);
        await download.write(BYTES.subarray(0, STEP));
        const client = new Client(t, node.url(DIGEST));
        await client.has(STEP);
        await download[end]();
        assert.equal(await client.ended, 'FIN');
        client.assertIs(0, STEP);
      });
    }

    it('answers ranges, as far as there are bytes, and then waits', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      await download.write(BYTES.subarray(0, STEP));
      const client = new Client(t, node.url(DIGEST), { range: `bytes=${2 * STEP}-` });
      assert.equal(await client.status(), 206);
      assert.match(client.head, /content-range: bytes 1000000-23999999\/24000000/i);
      await download.write(BYTES.subarray(STEP, 3 * STEP));
      await client.has(STEP);
      client.assertIs(2 * STEP, 3 * STEP);
      await roomy(node);
      const all = new Client(t, node.url(DIGEST), { range: 'bytes=0-' });
      assert.equal(await all.status(), 200);
      assert.doesNotMatch(all.head, /content-range/i);
      await roomy(node);
      const beyond = new Client(t, node.url(DIGEST), { range: `bytes=${TOTAL}-` });
      assert.equal(await beyond.status(), 416);
    });

    it('does not let a follower that does not read slow down another one', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      const slow = new Client(t, node.url(DIGEST));
      assert.equal(await slow.status(), 200);
      await roomy(node);
      const fast = new Client(t, node.url(DIGEST));
      assert.equal(await fast.status(), 200);
      slow.socket.pause();
      for (let at = 0; at < TOTAL; at += STEP) {
        await download.write(BYTES.subarray(at, at + STEP));
        await fast.has(Math.min(TOTAL, at + STEP));
      }
      assert.ok(slow.length < TOTAL);
      await eventually(() => {
        assert.ok(!node.followers.state(DIGEST).isRoomy);
      });
      slow.socket.resume();
      await slow.has(TOTAL);
      slow.assertIs(0, TOTAL);
    });

    it('ends the last of two followers by FIN when neither keeps up', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      const first = new Client(t, node.url(DIGEST));
      assert.equal(await first.status(), 200);
      await roomy(node);
      const second = new Client(t, node.url(DIGEST));
      assert.equal(await second.status(), 200);
      for (const { socket } of [first, second]) socket.pause();
      let at = 0;
      await eventually(async () => {
        await download.write(BYTES.subarray(at, at + 100_000));
        at += 100_000;
        assert.equal(node.followers.state(DIGEST).children, 1);
      });
      second.socket.resume();
      assert.equal(await second.ended, 'FIN');
      second.assertIs(0, second.length);
      assert.ok(!node.followers.state(DIGEST).isRoomy);
      first.socket.resume();
      await first.has(at);
    });

    it('resets followers of wrong bytes, and then says why it has none', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      await download.write(BYTES.subarray(0, 20_000_000));
      const waiting = new Client(t, node.url(DIGEST));
      await waiting.has(20_000_000);
      node.followers.markWrong(DIGEST);
      assert.equal(await waiting.ended, 'ECONNRESET');
      const again = new Client(t, node.url(DIGEST), { range: 'bytes=20000000-' });
      assert.equal(await again.status(), 404);
      assert.match(again.head, /x-peerglass-wrong: 1/i);
      node.store.putBlob(BYTES);
      const held = new Client(t, node.url(DIGEST));
      assert.equal(await held.status(), 404);
      const other = new Client(t, node.url(DIGEST), { 'peerglass-follow': '0' });
      assert.equal(await other.status(), 200);
    });

    it('resets a follower that does not read', async (t) => {
      const node = await startParent(t, { mode });
      const download = await node.begin(DIGEST, TOTAL);
      const client = new Client(t, node.url(DIGEST));
      assert.equal(await client.status(), 200);
      client.socket.pause();
      await download.write(BYTES);
      // More than the system buffers: the body waits for the client, and not for more bytes.
      await eventually(() => {
        assert.equal(node.followers.state(DIGEST).children, 1);
        assert.ok(!node.followers.state(DIGEST).isRoomy);
      });
      node.followers.markWrong(DIGEST);
      await eventually(() => {
        assert.equal(node.followers.state(DIGEST).children, 0);
      });
      client.socket.resume();
      assert.equal(await client.ended, 'ECONNRESET');
    });

    it('holds small content until it is committed', async (t) => {
      const node = await startParent(t, { mode });
      const image = makeImage(VERIFIED_SIZE);
      for (const [digest, bytes] of image.blobs) {
        const download = await node.begin(digest, bytes.length);
        await download.write(bytes);
        const kind = digest === image.manifest.digest ? 'manifests' : 'blobs';
        const client = new Client(t, node.url(digest, kind));
        await eventually(() => {
          assert.ok(node.fixture.watches.open > 0 || client.head !== '');
        });
        assert.equal(client.head, '');
        await download.commit();
        download.confirm(bytes);
        await client.has(bytes.length);
        assert.ok(client.body.equals(bytes));
      }
    });
  });
}

describe('following a download over TLS', { ...PATIENCE, skip: noOpenssl }, () => {
  it('gives the bytes by HTTP/2 as they arrive, and resets the stream of wrong ones', async (t) => {
    await using authority = await Authority.create();
    const source = fixedSource(await authority.material('node'));
    const node = await startParent(t, { tls: { source, clientAuth: 'none' } });
    const download = await node.begin(DIGEST, TOTAL);
    const session = connectHttp2(node.origin, { rejectUnauthorized: false });
    t.after(() => {
      session.destroy();
    });
    const { pathname, search } = new URL(node.url(DIGEST));
    const follow = async () => {
      const stream = session.request({
        ...{ ':path': pathname + search, 'x-spegel-mirrored': 'true', 'peerglass-follow': '1' },
      });
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders];
      assert.equal(head[':status'], 200);
      return { stream, received: () => Buffer.concat(chunks) };
    };
    const first = await follow();
    await roomy(node);
    const second = await follow();
    await download.write(BYTES.subarray(0, STEP));
    for (const { received } of [first, second]) {
      await eventually(() => {
        assert.ok(received().equals(BYTES.subarray(0, STEP)));
      });
    }
    const ended = Promise.all([first, second].map(({ stream }) => once(stream, 'end')));
    await download.abort();
    await ended;

    await node.begin(DIGEST, TOTAL);
    const third = await follow();
    node.followers.markWrong(DIGEST);
    await assert.rejects(once(third.stream, 'end'));
    assert.equal(third.stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
  });
});

describe('following a download', PATIENCE, () => {
  it('gives nothing unfinished to who does not ask for it, nor to a client that is no peer', async (t) => {
    const node = await startParent(t);
    const download = await node.begin(DIGEST, TOTAL);
    await download.write(BYTES);
    for (const fields of [
      { 'peerglass-follow': '0' },
      { 'peerglass-follow': 'true' },
      { 'x-spegel-mirrored': 'false' },
    ]) {
      assert.equal(await new Client(t, node.url(DIGEST), fields).status(), 404);
    }
  });

  it('ends followers in order when the node ends, so that they go on elsewhere', async (t) => {
    const node = await startParent(t);
    await node.begin(DIGEST, TOTAL);
    const client = new Client(t, node.url(DIGEST));
    assert.equal(await client.status(), 200);
    node.followers.close();
    assert.equal(await client.ended, 'FIN');
  });

  it('answers 404 where another peer gets 503, when there is no upload left', async (t) => {
    const node = await startParent(t, { uploads: { max: 1 } });
    await node.begin(DIGEST, TOTAL);
    const held = node.store.putBlob(randomBytes(VERIFIED_SIZE));
    const first = new Client(t, node.url(DIGEST));
    assert.equal(await first.status(), 200);
    assert.equal(await new Client(t, node.url(held)).status(), 404);
    const other = new Client(t, node.url(held), { 'peerglass-follow': '0' });
    assert.equal(await other.status(), 503);
  });

  it('keeps within the limit on the rate', async (t) => {
    const node = await startParent(t, { uploads: { limit: 10_000_000 } });
    const download = await node.begin(DIGEST, TOTAL);
    const client = new Client(t, node.url(DIGEST));
    assert.equal(await client.status(), 200);
    await download.write(BYTES.subarray(0, 5_000_000));
    await client.has(5_000_000);
    client.assertIs(0, 5_000_000);
  });

  it('leaves nothing open when a follower has left', async (t) => {
    const node = await startParent(t);
    await node.begin(DIGEST, TOTAL);
    const client = new Client(t, node.url(DIGEST));
    assert.equal(await client.status(), 200);
    await eventually(() => {
      assert.equal(node.fixture.watches.open, 1);
    });
    client.socket.destroy();
    await once(client.socket, 'close');
    await eventually(() => {
      assert.equal(node.fixture.watches.open, 0);
      assert.equal(node.followers.state(DIGEST).children, 0);
    });
  });
});
