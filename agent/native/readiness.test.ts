import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Libc, READY } from './libc.ts';
import { Readiness } from './readiness.ts';

describe('Readiness', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  const never = new AbortController().signal;

  function makePipes(libc: Libc, count: number) {
    const pipes = Array.from({ length: count }, () => libc.pipe(65_536));
    return {
      pipes,
      [Symbol.dispose]: () => {
        for (const { readEnd, writeEnd } of pipes) {
          libc.close(readEnd);
          libc.close(writeEnd);
        }
      },
    };
  }

  it('wakes the waits whose descriptors are ready, and no others', async () => {
    const libc = new Libc();
    const readiness = new Readiness(libc);
    using made = makePipes(libc, 3);
    const stop = new AbortController();
    const woken: number[] = [];
    const waits = made.pipes.map(async ({ readEnd }, index) => {
      await readiness.wait(readEnd, READY.toRead, stop.signal);
      if (!stop.signal.aborted) woken.push(index);
    });
    for (const index of [2, 0]) {
      writeSync(made.pipes[index]?.writeEnd ?? -1, 'x');
      await waits[index];
    }
    assert.deepEqual(woken, [2, 0]);
    stop.abort();
    await Promise.all(waits);
  });

  it('can wait for the same descriptor again, and after it was forgotten', async () => {
    const libc = new Libc();
    const readiness = new Readiness(libc);
    using made = makePipes(libc, 1);
    const { readEnd = -1, writeEnd = -1 } = made.pipes[0] ?? {};
    writeSync(writeEnd, 'x');
    await readiness.wait(readEnd, READY.toRead, never);
    await readiness.wait(readEnd, READY.toRead, never);
    readiness.forget(readEnd);
    await readiness.wait(readEnd, READY.toRead, never);
  });

  it('ends a wait when the signal is aborted, and refuses a descriptor that is not open', async () => {
    const libc = new Libc();
    const readiness = new Readiness(libc);
    using made = makePipes(libc, 1);
    const stop = new AbortController();
    const waiting = readiness.wait(made.pipes[0]?.readEnd ?? -1, READY.toRead, stop.signal);
    stop.abort();
    await waiting;
    await assert.rejects(readiness.wait(9_999, READY.toRead, never), { code: 'EBADF' });
  });
});
