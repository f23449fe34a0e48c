import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { until } from '../../testing/conformance/router.ts';
import { startStreamSource } from '../../testing/routing-node.ts';
import { FrameReader } from './frame-reader.ts';
import { frame, FrameError } from './frames.ts';

const KIB = 1024;

describe('FrameReader', () => {
  it('returns the messages in order, those before the first read too, and then the end', async (t) => {
    const { near, far } = await (await startStreamSource(t)).open();
    using reader = new FrameReader(near, 100);
    far.send(frame(Uint8Array.of(1)));
    await until(() => !reader.idle);
    far.send(Buffer.concat([frame(Uint8Array.of(2)), frame(Uint8Array.of(3))]));
    await far.close();
    for (const byte of [1, 2, 3]) assert.deepEqual([...((await reader.next()) ?? [])], [byte]);
    assert.equal(await reader.next(), undefined);
    assert.equal(reader.idle, false);
  });

  it('pauses the stream while many bytes wait to be read, and loses none of them', async (t) => {
    const { near, far } = await (await startStreamSource(t)).open();
    using reader = new FrameReader(near, 60 * KIB);
    const message = new Uint8Array(50 * KIB).fill(9);
    for (let sent = 0; sent < 4; sent++) far.send(frame(message));
    await until(() => near.readStatus === 'paused');
    for (let read = 0; read < 4; read++) {
      assert.equal((await reader.next())?.length, message.length);
    }
    await far.close();
    assert.equal(await reader.next(), undefined);
  });

  it('fails when a message is longer than the bound', async (t) => {
    const { near, far } = await (await startStreamSource(t)).open();
    using reader = new FrameReader(near, 100);
    far.send(frame(new Uint8Array(101)));
    await assert.rejects(reader.next(), FrameError);
  });

  it('ends after the idle timeout, and fails when a message is not complete in time', async (t) => {
    const source = await startStreamSource(t);
    const quiet = await source.open();
    using idle = new FrameReader(quiet.near, 100, { idleMs: 20, messageMs: 60_000 });
    assert.equal(await idle.next(), undefined);

    const slow = await source.open();
    using partial = new FrameReader(slow.near, 100, { idleMs: 60_000, messageMs: 20 });
    slow.far.send(frame(new Uint8Array(50)).subarray(0, 10));
    await assert.rejects(partial.next(), /not complete in time/);
  });

  it('fails with the error of the stream when the peer aborts it', async (t) => {
    const { near, far } = await (await startStreamSource(t)).open();
    using reader = new FrameReader(near, 100);
    const reading = reader.next();
    far.abort(new Error('gone'));
    await assert.rejects(reading);
  });
});
