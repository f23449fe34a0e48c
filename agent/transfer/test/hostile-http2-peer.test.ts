import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';

import { Agent, request } from 'undici';

import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import {
  FLAG,
  FRAME,
  fields,
  frame,
  head,
  pour,
  startRogueHttp2,
  word,
} from '../../testing/rogue-http2.ts';
import { fixedSource } from '../../testing/test-tls.ts';
import type { TlsMaterial } from '../../tls/tls-material.ts';
import type { PeerTls } from '../client/peer-agents.ts';

const image = makeImage(1000);
const { digest, mediaType, size } = image.manifest;
const manifest = image.blobs.get(digest) ?? Buffer.alloc(0);
const path = `/v2/team/app/manifests/${digest}`;
const nothing = Buffer.alloc(0);

/** The head of a correct answer. */
const good = { ':status': 200, 'content-type': mediaType, 'docker-content-digest': digest };
const data = (stream: number, bytes: Uint8Array, flags: number = FLAG.endStream): Buffer =>
  frame(FRAME.data, flags, stream, bytes);

type Behave = (socket: Socket, stream: number) => void;

/** One answer to each request. */
const faults: Record<string, Behave> = {
  'bytes that are not frames': (socket) => socket.write(randomBytes(10_000)),
  'an answer by HTTP/1.1': (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n'),
  'a frame larger than agreed': (socket, stream) =>
    socket.write(data(stream, Buffer.alloc(100_000))),
  'a GOAWAY that takes nothing': (socket) =>
    socket.write(frame(FRAME.goAway, 0, 0, Buffer.concat([word(0), word(0)]))),
  'a GOAWAY, and the end': (socket) =>
    socket.end(frame(FRAME.goAway, 0, 0, Buffer.concat([word(0), word(11)]))),
  'a reset of the stream': (socket, stream) => socket.write(frame(FRAME.reset, 0, stream, word(2))),
  'a refusal of the stream': (socket, stream) =>
    socket.write(frame(FRAME.reset, 0, stream, word(7))),
  'a reset without an error': (socket, stream) =>
    socket.write(frame(FRAME.reset, 0, stream, word(0))),
  'a reset in mid-body': (socket, stream) => {
    socket.write(head(stream, { ...good, 'content-length': size }));
    socket.write(data(stream, manifest.subarray(0, 9), 0));
    socket.write(frame(FRAME.reset, 0, stream, word(2)));
  },
  'the end of the connection': (socket) => socket.end(),
  'the end of the connection in mid-body': (socket, stream) => {
    socket.write(head(stream, { ...good, 'content-length': size }));
    socket.end(data(stream, manifest.subarray(0, 9), 0));
  },
  'a body longer than its length': (socket, stream) => {
    socket.write(head(stream, { ...good, 'content-length': size }));
    socket.write(data(stream, Buffer.concat([manifest, manifest])));
  },
  'a body shorter than its length': (socket, stream) => {
    socket.write(head(stream, { ...good, 'content-length': size }));
    socket.write(data(stream, manifest.subarray(0, -1)));
  },
  'no length, and a body that stops': (socket, stream) => {
    socket.write(head(stream, good));
    socket.write(data(stream, manifest.subarray(0, -1)));
  },
  'a body without a head': (socket, stream) => socket.write(data(stream, manifest)),
  'a head without a status': (socket, stream) =>
    socket.write(head(stream, { 'content-length': size })),
  'two statuses': (socket, stream) => {
    const both = Buffer.concat([fields(good), fields(good)]);
    socket.write(frame(FRAME.headers, FLAG.endHeaders, stream, both));
  },
  'a status that is not a number': (socket, stream) =>
    socket.write(head(stream, { ...good, ':status': 'abc' })),
  'a field name of capitals': (socket, stream) =>
    socket.write(head(stream, { ...good, 'X-Capital': 'a', 'content-length': size })),
  'fields that cannot be decoded': (socket, stream) =>
    socket.write(frame(FRAME.headers, FLAG.endHeaders, stream, Buffer.alloc(50, 0xff))),
  'an answer on a stream without a request': (socket, stream) =>
    socket.write(head(stream + 100, { ...good, 'content-length': size })),
  'a promise to push': (socket, stream) => {
    const promise = Buffer.concat([word(2), fields({ ':status': 200 })]);
    socket.write(frame(FRAME.pushPromise, FLAG.endHeaders, stream, promise));
  },
  'a window too large': (socket) => socket.write(frame(FRAME.windowUpdate, 0, 0, word(0x7fffffff))),
  'settings that are not allowed': (socket) =>
    socket.write(frame(FRAME.settings, 0, 0, Buffer.from([0, 5, 0, 0, 0, 1]))),
  'a limit of 0 streams': (socket) =>
    socket.write(frame(FRAME.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 0]))),
  'nothing at all': () => undefined,
};

const MIB = 1024 * 1024;
/** Growth of memory of both ends in bytes, garbage included. A flood sends several times that before it is cut off. */
const MAX_GROWTH = 100 * MIB;

function memory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What is sent first, and what is repeated. */
const floods: Record<string, (stream: number) => readonly [Buffer, Buffer]> = {
  'a head in frames without end': (stream) => [
    frame(FRAME.headers, 0, stream, fields(good)),
    frame(FRAME.continuation, 0, stream, fields({ x: 'a'.repeat(100) })),
  ],
  'empty frames of a head': (stream) => [
    frame(FRAME.headers, 0, stream, fields(good)),
    frame(FRAME.continuation, 0, stream, nothing),
  ],
  'interim answers': (stream) => [nothing, head(stream, { ':status': 103, link: 'a' })],
  trailers: (stream) => [
    head(stream, { ...good, 'content-length': size }),
    head(stream, { x: 'a' }),
  ],
  settings: () => [nothing, frame(FRAME.settings, 0, 0, Buffer.from([0, 1, 0, 0, 16, 0]))],
  'bytes behind the body': (stream) => [
    head(stream, { ...good, 'content-length': size }),
    data(stream, Buffer.alloc(10_000), 0),
  ],
  'a body without a length': (stream) => [head(stream, good), data(stream, Buffer.alloc(9_000), 0)],
  'the body of an error': (stream) => [
    head(stream, { ':status': 500 }),
    data(stream, Buffer.alloc(10_000), 0),
  ],
};

describe('a node behind a hostile HTTP/2 peer', { skip: noOpenssl, timeout: 300_000 }, () => {
  let material: TlsMaterial;
  let tls: PeerTls & { readonly clientAuth: 'none' };
  let honest: MirrorNode;
  before(async () => {
    await using authority = await Authority.create();
    material = await authority.material('node');
    tls = { source: fixedSource(material), serverName: '', clientAuth: 'none' };
    honest = await startMirror({ tls });
    putImage(honest.store, image);
  });
  after(async () => {
    await honest[Symbol.asyncDispose]();
  });

  const nodeBehind = (rogue: { readonly origin: string }): Promise<MirrorNode> =>
    startMirror({
      tls,
      peerTls: tls,
      router: new FixedRouter(providerOf('rogue', rogue), providerOf('honest', honest)),
      headTimeout: 300,
      stallTimeout: 300,
      firstByteBudget: 20_000,
    });

  async function assertPulls(node: MirrorNode): Promise<void> {
    const dispatcher = new Agent({ connect: { rejectUnauthorized: false, timeout: 60_000 } });
    const { statusCode, body } = await request(`${node.origin}${path}`, { dispatcher });
    assert.equal(statusCode, 200);
    assert.ok(Buffer.from(await body.arrayBuffer()).equals(manifest));
    await dispatcher.destroy();
  }

  describe('asks another peer when one sends', () => {
    for (const [what, behave] of Object.entries(faults)) {
      it(what, async () => {
        await using rogue = await startRogueHttp2(material, behave);
        await using node = await nodeBehind(rogue);
        await assertPulls(node);
        assert.ok(rogue.requests >= 1);
        // Again, over whatever is left of the connection.
        await assertPulls(node);
      });
    }

    it('nothing instead of its settings', async () => {
      await using rogue = await startRogueHttp2(
        material,
        () => undefined,
        () => undefined,
      );
      await using node = await nodeBehind(rogue);
      await assertPulls(node);
    });
  });

  describe('cuts off a peer that sends without end', () => {
    for (const [what, make] of Object.entries(floods)) {
      it(what, async (t) => {
        const before = memory();
        let max = before;
        await using rogue = await startRogueHttp2(material, (socket, stream) => {
          const [first, more] = make(stream);
          socket.write(first);
          void pour(socket, Buffer.concat(Array<Buffer>(100).fill(more)));
        });
        await using node = await nodeBehind(rogue);
        await assertPulls(node);
        assert.ok(rogue.requests >= 1);
        await eventually(() => {
          max = Math.max(max, memory());
          assert.equal(rogue.open, 0, 'its connections are closed');
        });
        t.diagnostic(`${Math.round((max - before) / MIB)} MiB more at most`);
        assert.ok(max - before < MAX_GROWTH);
      });
    }
  });
});
