import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readSync, writeSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Libc } from './libc.ts';
import { Pipes } from './pipes.ts';
import { Readiness } from './readiness.ts';
import { splice } from './splice.ts';
import { Silence } from '../timing/silence.ts';

describe('splice', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  const never = new AbortController().signal;

  /** A sender and a receiver; pipes stand for the connections. */
  function makeEnds() {
    const libc = new Libc();
    const [sender, receiver] = [libc.pipe(65_536), libc.pipe(65_536)];
    const components = {
      libc,
      readiness: new Readiness(libc),
      pipes: new Pipes({ libc }),
      slot: (call: () => Promise<number>) => call(),
    };
    const open = new Set([sender.readEnd, sender.writeEnd, receiver.readEnd, receiver.writeEnd]);
    const close = (fd: number): void => {
      if (open.delete(fd)) libc.close(fd);
    };
    return {
      readiness: components.readiness,
      sender,
      receiver,
      close,
      move: (length: number, stallTimeout = 5_000, signal = never) =>
        splice(
          components,
          {
            from: sender.readEnd,
            to: receiver.writeEnd,
            length,
            silence: new Silence({ stallTimeout }),
          },
          signal,
        ),
      received: (): string => {
        const bytes = Buffer.alloc(100);
        return bytes.toString('utf8', 0, readSync(receiver.readEnd, bytes));
      },
      [Symbol.dispose]: () => {
        for (const fd of open) close(fd);
      },
    };
  }

  it('moves exactly the length, and leaves later bytes with the sender', async () => {
    using ends = makeEnds();
    writeSync(ends.sender.writeEnd, 'body and more');
    let moved = 0;
    for await (const { length } of ends.move(4)) moved += length;
    assert.deepEqual([moved, ends.received()], [4, 'body']);
  });

  it('delivers what it has before it reports a sender that ended too early', async () => {
    using ends = makeEnds();
    writeSync(ends.sender.writeEnd, 'some');
    ends.close(ends.sender.writeEnd);
    const moving = ends.move(10);
    const first = await moving.next();
    assert.equal(first.done === false && first.value.length, 4);
    assert.equal(ends.received(), 'some');
    await assert.rejects(moving.next(), {
      code: 'ERR_SENDER',
      reason: 'ended',
      message: /6 bytes too early/,
    });
  });

  it('reports a sender that is silent for the stall timeout', async () => {
    using ends = makeEnds();
    await assert.rejects(ends.move(10, 50).next(), { code: 'ERR_SENDER', reason: 'silent' });
  });

  it('reports a receiver that closed its connection', async () => {
    using ends = makeEnds();
    ends.close(ends.receiver.readEnd);
    writeSync(ends.sender.writeEnd, 'some');
    await assert.rejects(ends.move(4).next(), { code: 'ERR_RECEIVER' });
  });

  it('ends with the reason of the signal', async () => {
    using ends = makeEnds();
    const stop = new AbortController();
    const moving = ends.move(10, 5_000, stop.signal).next();
    stop.abort(new Error('left'));
    await assert.rejects(moving, /left/);
  });

  it('leaves nothing with the signal when a wait fails', async () => {
    using ends = makeEnds();
    const stop = new AbortController();
    ends.readiness.wait = () => Promise.reject(new Error('refused'));
    await assert.rejects(ends.move(4, 5_000, stop.signal).next(), /refused/);
    assert.deepEqual(getEventListeners(stop.signal, 'abort'), []);
  });

  it('reports how long the sender was waited for', async () => {
    using ends = makeEnds();
    const moving = ends.move(4).next();
    setTimeout(() => writeSync(ends.sender.writeEnd, 'body'), 50);
    const result = await moving;
    assert.ok(result.done === false && result.value.waited >= 40);
  });
});
