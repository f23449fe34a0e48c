import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FrameReader } from '../../routing/dht/frame-reader.ts';
import { frame } from '../../routing/dht/frames.ts';
import { SimulatedStream, type StreamCarrier } from './simulated-stream.ts';

/** Both ends of a stream, and what is under way between them. */
function open() {
  const underWay: (() => void)[] = [];
  const ended: SimulatedStream[] = [];
  const carrier: StreamCarrier = {
    carry: (callback) => underWay.push(callback),
    onSend: () => undefined,
    onReceive: () => undefined,
    onControl: () => undefined,
    onEnd: (stream) => ended.push(stream),
  };
  const [near, far] = SimulatedStream.pair('/test', carrier, carrier);
  const arrive = (): void => {
    for (const callback of underWay.splice(0)) callback();
  };
  return { near, far, arrive, ended };
}

async function textOf(reader: FrameReader): Promise<string> {
  return Buffer.from((await reader.next()) ?? []).toString();
}

const message = (text: string): Uint8Array => frame(Buffer.from(text));

describe('SimulatedStream', () => {
  it('carries messages both ways, also those that arrive before they are listened to', async () => {
    const { near, far, arrive } = open();
    near.send(message('a'));
    near.send(message('b'));
    arrive();
    assert.equal(far.readBufferLength, 4);
    const reader = new FrameReader(far.asStream, 100);
    assert.equal(await textOf(reader), 'a');
    assert.equal(await textOf(reader), 'b');
    const answers = new FrameReader(near.asStream, 100);
    far.send(message('answer'));
    arrive();
    assert.equal(await textOf(answers), 'answer');
  });

  it('keeps what arrives while it is paused', () => {
    const { near, far, arrive } = open();
    const read: unknown[] = [];
    far.addEventListener('message', (event) => read.push(event));
    far.pause();
    near.send(message('a'));
    arrive();
    assert.equal(read.length, 0);
    far.resume();
    assert.equal(read.length, 1);
  });

  it('ends side by side', async () => {
    const { near, far, arrive, ended } = open();
    const reader = new FrameReader(far.asStream, 100);
    near.send(message('last'));
    await near.close();
    assert.throws(() => near.send(message('later')), /closed/);
    arrive();
    assert.equal(await textOf(reader), 'last');
    assert.equal(await reader.next(), undefined);
    far.send(message('answer'));
    await far.close();
    assert.deepEqual(ended, [far]);
    arrive();
    assert.deepEqual(ended, [far, near]);
    assert.equal(near.status, 'closed');
    assert.equal(near.readBufferLength, 'answer'.length + 1);
  });

  it('ends at both sides at once when one aborts it', async () => {
    const { near, far, arrive } = open();
    const [mine, theirs] = [new FrameReader(near.asStream, 9), new FrameReader(far.asStream, 9)];
    near.abort(new Error('enough'));
    await assert.rejects(mine.next(), /enough/);
    arrive();
    await assert.rejects(theirs.next(), { name: 'StreamResetError' });
    assert.deepEqual([near.status, far.status], ['aborted', 'reset']);
    far.abort(new Error('too late'));
    assert.equal(far.status, 'reset');
  });
});
