import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Stream } from '@libp2p/interface';

import { until } from '../../testing/conformance/router.ts';
import { addressOf, startRoutingNode } from '../../testing/routing-node.ts';
import { multiaddr } from '@multiformats/multiaddr';
import { DHT_PROTOCOL } from '../node/libp2p-node.ts';
import type { FrameReader } from './frame-reader.ts';
import { frame, FrameError } from './frames.ts';
import { serveStream } from './served-stream.ts';

const MAX_BYTES = 100;

/** Serves the stream that a node opens to another one. */
async function open(
  t: Parameters<typeof startRoutingNode>[0],
  answerAll: (reader: FrameReader) => Promise<void>,
) {
  const stop = new AbortController();
  let served: Promise<void> | undefined;
  const bounds = { maxBytes: MAX_BYTES, stopped: stop.signal };
  const server = await startRoutingNode(t, '127.0.0.1', (inbound) => {
    served = serveStream(inbound, bounds, answerAll);
    served.catch(() => undefined);
  });
  const client = await startRoutingNode(t, '127.0.0.2');
  const stream = await client.dialProtocol(multiaddr(addressOf(server)), DHT_PROTOCOL);
  await until(() => served !== undefined);
  return { stop, stream, served: () => served ?? Promise.resolve() };
}

const hasEnded = (stream: Stream): boolean => stream.status !== 'open';

async function readAll(reader: FrameReader, read: Uint8Array[] = []): Promise<void> {
  for (let next = await reader.next(); next; next = await reader.next()) read.push(next);
}

describe('serveStream', () => {
  it('ends its side after the peer has ended its own', async (t) => {
    const read: Uint8Array[] = [];
    const { stream, served } = await open(t, (reader) => readAll(reader, read));
    stream.send(frame(Uint8Array.of(1, 2)));
    await stream.close();
    await served();
    assert.deepEqual(
      read.map((bytes) => [...bytes]),
      [[1, 2]],
    );
    await until(() => hasEnded(stream));
  });

  it('aborts the stream and throws when an answer fails, or a message is too long', async (t) => {
    const failing = await open(t, () => Promise.reject(new Error('no answer')));
    await assert.rejects(failing.served(), { message: 'no answer' });
    await until(() => hasEnded(failing.stream));
    const long = await open(t, readAll);
    long.stream.send(frame(new Uint8Array(MAX_BYTES + 1)));
    await assert.rejects(long.served(), FrameError);
    await until(() => hasEnded(long.stream));
  });

  it('aborts the stream when the router stops', async (t) => {
    const { stop, stream, served } = await open(t, readAll);
    stop.abort();
    await assert.rejects(served(), /the router stops/);
    await until(() => hasEnded(stream));
  });
});
