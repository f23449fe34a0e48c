import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import type { Stream } from '@libp2p/interface';

import { randomPeers } from '../../testing/announcements.ts';
import { startAnnouncingNode, type AnnouncingNode } from '../../testing/announcing-node.ts';
import { until } from '../../testing/conformance/router.ts';
import { startRoutingNode } from '../../testing/routing-node.ts';
import { frame } from '../dht/frames.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer, type DhtPeer } from '../node/membership.ts';
import { encodePeer } from '../dht/dht-messages.ts';
import {
  ANNOUNCE,
  ANNOUNCE_PROTOCOL,
  encodeAnnounce,
  MAX_MESSAGE_BYTES,
} from './announce-messages.ts';

const TIMEOUT_MS = 20_000;
const { signal } = new AbortController();
const ENVELOPE = Uint8Array.of(1, 2, 3);
const RANGE = { point: 1, distance: 2 };
const DONE = frame(encodeAnnounce({ type: ANNOUNCE.done }));
const HELD = frame(encodeAnnounce({ type: ANNOUNCE.held, envelope: ENVELOPE, ageMs: 5 }));

let client: AnnouncingNode['client'];
let hostile: RoutingNode;
let peer: DhtPeer;

async function start(t: TestContext): Promise<void> {
  const sender = await startAnnouncingNode(t, '127.0.0.50');
  hostile = await startRoutingNode(t, '127.0.0.51');
  await sender.node.dial(hostile.services.listening.addresses());
  client = sender.client;
  peer = dhtPeer(hostile.peerId);
}

/** Lets the peer answer each request with these bytes; the streams that it was sent requests on. */
async function answer(bytes: Uint8Array): Promise<Stream[]> {
  const streams: Stream[] = [];
  await hostile.handle(ANNOUNCE_PROTOCOL, (stream) => {
    streams.push(stream);
    stream.addEventListener('message', () => {
      if (bytes.length > 0 && stream.writeStatus === 'writable') stream.send(bytes);
    });
  });
  return streams;
}

const announce = (timeoutMs = TIMEOUT_MS, until = signal) =>
  client.announce(peer, { envelope: ENVELOPE, half: 0 }, timeoutMs, until);
const pull = (take: () => Promise<void>) => client.pull(peer, RANGE, take, TIMEOUT_MS, signal);

describe('AnnounceClient, with a peer that is not as it should be', () => {
  beforeEach((t) => start(t as TestContext));

  it('rejects with the error of libp2p when the peer does not speak the protocol', async () => {
    // `CarrierSearch` tells by this name that it is to send the records in another way.
    const unsupported = { name: 'UnsupportedProtocolError' };
    await assert.rejects(announce(), unsupported);
    await assert.rejects(client.pass(peer, ENVELOPE, TIMEOUT_MS, signal), unsupported);
  });

  it('rejects, and aborts the stream, when the peer does not answer in time', async () => {
    const streams = await answer(new Uint8Array(0));
    await assert.rejects(announce(200));
    const abort = new AbortController();
    const aborted = announce(TIMEOUT_MS, abort.signal);
    abort.abort();
    await assert.rejects(aborted);
    await until(() => streams.length > 0 && streams.every(({ status }) => status !== 'open'));
  });

  it('rejects answers that are not of the protocol', async () => {
    const wrong: [Uint8Array, RegExp][] = [
      [frame(Uint8Array.of(0xff, 0xff)), /message ends early/],
      [frame(new Uint8Array(MAX_MESSAGE_BYTES + 1)), /too long/],
      [HELD, /was not asked for/],
      [frame(encodeAnnounce({ type: ANNOUNCE.pass })), /was not asked for/],
    ];
    for (const [bytes, message] of wrong) {
      await answer(bytes);
      await assert.rejects(announce(), { name: 'FrameError', message });
      await hostile.unhandle(ANNOUNCE_PROTOCOL);
    }
    await hostile.handle(ANNOUNCE_PROTOCOL, (stream) => stream.close());
    await assert.rejects(announce(), /ended the stream without an answer/);
  });

  it('leaves out strangers that have no valid ID, and addresses that are none', async () => {
    const [stranger] = await randomPeers(1);
    assert.ok(stranger);
    const strangers = [
      { id: Uint8Array.of(1, 2), multiaddrs: [] },
      { id: stranger.id.toMultihash().bytes, multiaddrs: [Uint8Array.of(99)] },
    ].map(encodePeer);
    await answer(frame(encodeAnnounce({ type: ANNOUNCE.done, taken: 3, strangers })));
    const read = await announce();
    assert.deepEqual(read.strangers, [{ peerId: stranger.text, multiaddrs: [] }]);
  });

  it('reads announcements until the last', async () => {
    await answer(Buffer.concat([HELD, HELD, DONE]));
    let taken = 0;
    await pull(async () => {
      await Promise.resolve();
      taken += 1;
    });
    assert.equal(taken, 2);
  });

  it('reads no more announcements than the bound', async () => {
    let taken = 0;
    await hostile.handle(ANNOUNCE_PROTOCOL, async (stream) => {
      const many = Buffer.concat(new Array<Uint8Array>(1000).fill(HELD));
      while (stream.writeStatus === 'writable') {
        if (!stream.send(many)) await stream.onDrain().catch(() => undefined);
      }
    });
    const flood = pull(() => {
      taken += 1;
      return Promise.resolve();
    });
    await assert.rejects(flood, /too many announcements/);
    assert.equal(taken, 20_000);
  });

  it('gives up when what is handed over cannot be taken', async () => {
    await answer(Buffer.concat([HELD, DONE]));
    await assert.rejects(
      pull(() => Promise.reject(new Error('no room'))),
      /no room/,
    );
  });

  it('uses a stream again, and ends it when it stops', async () => {
    const streams = await answer(DONE);
    await announce();
    await announce();
    assert.equal(streams.length, 1);
    client.stop();
    await until(() => streams[0]?.status !== 'open');
  });
});
