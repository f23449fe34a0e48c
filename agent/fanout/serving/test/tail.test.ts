import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { eventually } from '../../../testing/eventually.ts';
import { sha256 } from '../../../testing/image.ts';
import { providerOf } from '../../../testing/mirror-node.ts';
import { startParent, type ParentNode } from '../../../testing/parent-node.ts';
import { responseHead, startRogue } from '../../../testing/rogue-peer.ts';
import { Tails } from '../tail/tails.ts';

const PATIENCE = { timeout: 300_000 };
const BYTES = randomBytes(12_000_000);
const DIGEST = sha256(BYTES);
const TOTAL = BYTES.length;

/** A peer that has a part of the blob, and gets more when the test says so. */
class Source {
  readonly origin: string;
  readonly #sent = new Map<Socket, number>();
  #there = 0;

  private constructor(origin: string) {
    this.origin = origin;
  }

  static async start(t: TestContext): Promise<Source> {
    const peer = await startRogue((socket, text) => {
      const [, first = '0'] = /^range: bytes=(\d+)-/im.exec(text) ?? [];
      const start = Number(first);
      const length = { 'content-length': TOTAL - start };
      const range = { 'content-range': `bytes ${start}-${TOTAL - 1}/${TOTAL}` };
      socket.write(
        start > 0 ? responseHead(206, { ...length, ...range }) : responseHead(200, length),
      );
      source.#sent.set(socket, start);
      socket.on('close', () => source.#sent.delete(socket));
      source.grow(source.#there);
    });
    t.after(() => peer[Symbol.asyncDispose]());
    const source = new Source(peer.origin);
    return source;
  }

  /** Sends all bytes before `end`. */
  grow(end: number): void {
    this.#there = end;
    for (const [socket, sent] of this.#sent) {
      if (sent < end) socket.write(BYTES.subarray(sent, end));
      this.#sent.set(socket, Math.max(sent, end));
    }
  }

  /** Breaks all its connections off. */
  breakOff(): void {
    for (const socket of this.#sent.keys()) socket.end();
    this.#sent.clear();
  }
}

/** Requests the blob, as a client of the node or as a follower. */
class Client {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];

  constructor(t: TestContext, node: ParentNode, isFollower: boolean) {
    const { port, pathname, search } = new URL(node.url(DIGEST));
    const fields = isFollower ? 'x-spegel-mirrored: true\r\npeerglass-follow: 1\r\n' : '';
    this.socket = connect(Number(port), '127.0.0.1');
    t.after(() => this.socket.destroy());
    this.socket.on('error', () => undefined);
    this.socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    this.socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: a\r\n${fields}\r\n`);
  }

  get body(): Buffer {
    const all = Buffer.concat(this.#chunks);
    const end = all.indexOf('\r\n\r\n');
    return end < 0 ? Buffer.alloc(0) : all.subarray(end + 4);
  }

  async has(end: number): Promise<void> {
    await eventually(() => {
      assert.equal(this.body.length, end);
    });
    assert.ok(this.body.equals(BYTES.subarray(0, end)));
  }

  async hasHead(): Promise<void> {
    await eventually(() => {
      assert.match(Buffer.concat(this.#chunks).toString('latin1'), /^HTTP\/1\.1 200 /);
    });
  }
}

interface Relay {
  readonly node: ParentNode;
  readonly tails: Tails;
  readonly client: Client;
  /** Has the client write the bytes to the file that it has got. */
  readonly write: (start: number, end: number) => Promise<void>;
}

/** A node that follows another one, and whose client writes nothing by itself. */
async function relay(
  t: TestContext,
  mode: 'auto' | 'stream',
  parent: { readonly origin: string },
): Promise<Relay> {
  const tails = new Tails();
  const node = await startParent(t, { mode, tails, follows: providerOf('parent', parent) });
  const download = await node.begin(DIGEST, TOTAL);
  return {
    node,
    tails,
    client: new Client(t, node, false),
    write: (start, end) => download.write(BYTES.subarray(start, end)),
  };
}

for (const mode of ['auto', 'stream'] as const) {
  describe(`the tail of a node that follows, over ${mode}`, PATIENCE, () => {
    it('gives bytes to followers of followers which no client has written', async (t) => {
      const source = await Source.start(t);
      const first = await relay(t, mode, source);
      await first.client.hasHead();
      const second = await relay(t, mode, first.node);
      await second.client.hasHead();
      const third = new Client(t, second.node, true);
      await third.hasHead();
      for (const end of [1, 5_000, 300_000, 300_001, 900_000]) {
        source.grow(end);
        for (const { client } of [first, second]) await client.has(end);
        await third.has(end);
      }
      await first.write(0, 800_000);
      await second.write(0, 100_000);
      source.grow(TOTAL);
      await first.client.has(TOTAL);
      await first.write(800_000, TOTAL);
      await second.client.has(TOTAL);
      await second.write(100_000, TOTAL);
      await third.has(TOTAL);
      await eventually(() => {
        assert.equal(first.tails.bytes + second.tails.bytes, 0);
      });
    });

    it('has the first bytes for followers that come soon, also when one has left', async (t) => {
      const source = await Source.start(t);
      const { node, client, tails } = await relay(t, mode, source);
      source.grow(700_000);
      await client.has(700_000);
      const follower = new Client(t, node, true);
      await follower.has(700_000);
      source.grow(800_000);
      await follower.has(800_000);
      follower.socket.destroy();
      await eventually(() => {
        assert.equal(node.followers.state(DIGEST).children, 0);
      });
      const next = new Client(t, node, true);
      await next.has(800_000);
      source.grow(3_000_000);
      await next.has(3_000_000);
      next.socket.destroy();
      await eventually(() => {
        assert.equal(tails.bytes, 0);
      });
    });

    it('begins and ends with followers in the middle of a body', async (t) => {
      const source = await Source.start(t);
      const { node, client, write, tails } = await relay(t, mode, source);
      source.grow(3_000_000);
      await client.has(3_000_000);
      assert.equal(tails.bytes, 0);
      const follower = new Client(t, node, true);
      await follower.hasHead();
      // What was forwarded before it came is not in the tail any more.
      source.grow(3_500_000);
      await client.has(3_500_000);
      assert.equal(follower.body.length, 0);
      await write(0, 3_000_000);
      await follower.has(3_500_000);
      follower.socket.destroy();
      await eventually(() => {
        assert.equal(node.followers.state(DIGEST).children, 0);
      });
      assert.equal(tails.bytes, 0);
      source.grow(4_000_000);
      await client.has(4_000_000);
      assert.equal(tails.bytes, 0);
      const later = new Client(t, node, true);
      await later.has(3_000_000);
      source.grow(4_100_000);
      await client.has(4_100_000);
      await write(3_000_000, 4_000_000);
      await later.has(4_100_000);
    });

    it('goes on when the body goes on from another peer at that byte', async (t) => {
      const source = await Source.start(t);
      const { node, client, write } = await relay(t, mode, source);
      await client.hasHead();
      const follower = new Client(t, node, true);
      await follower.hasHead();
      source.grow(500_000);
      await follower.has(500_000);
      source.breakOff();
      source.grow(700_000);
      await follower.has(700_000);
      source.grow(TOTAL);
      await client.has(TOTAL);
      await write(0, TOTAL);
      await follower.has(TOTAL);
    });

    it('does not end followers that have more than the file', async (t) => {
      const source = await Source.start(t);
      const { node, client, write } = await relay(t, mode, source);
      await client.hasHead();
      const one = new Client(t, node, true);
      await one.hasHead();
      source.grow(3_000_000);
      await one.has(3_000_000);
      // Looked at every 50 ms: one more may follow after some of these looks.
      await eventually(() => {
        assert.ok(node.followers.state(DIGEST).isRoomy);
      });
      const other = new Client(t, node, true);
      await other.hasHead();
      await other.has(3_000_000);
      await write(0, 3_000_000);
      source.grow(TOTAL);
      await client.has(TOTAL);
      await write(3_000_000, TOTAL);
      for (const follower of [one, other]) await follower.has(TOTAL);
    });

    it('resets followers of wrong bytes', async (t) => {
      const source = await Source.start(t);
      const { node, tails } = await relay(t, mode, source);
      const follower = new Client(t, node, true);
      await follower.hasHead();
      source.grow(3_000_000);
      await follower.has(3_000_000);
      node.followers.markWrong(DIGEST);
      await eventually(() => {
        assert.ok(follower.socket.closed);
      });
      assert.equal(tails.bytes, 0);
    });
  });
}
