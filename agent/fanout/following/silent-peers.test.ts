import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import { whileToWait } from './silent-peers.ts';

/** Says nothing until it is left. */
async function isSilent(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  throw signal.reason;
}

const never = new AbortController().signal;

describe('whileToWait', () => {
  it('gives what comes before the first check', async () => {
    let checks = 0;
    const isToWait = () => Promise.resolve(++checks > 0);
    const nothing = () => Promise.resolve<string | undefined>(undefined);
    const silence = { checkMs: 60_000, isToWait };
    assert.equal(await whileToWait(() => Promise.resolve('bytes'), silence, never), 'bytes');
    assert.equal(await whileToWait(nothing, silence, never), undefined);
    assert.equal(checks, 0);
  });

  it('leaves what is silent when a check says so', async () => {
    const answers = [true, true, false];
    const isToWait = () => Promise.resolve(answers.shift() ?? true);
    assert.equal(await whileToWait<string>(isSilent, { checkMs: 5, isToWait }, never), undefined);
    assert.deepEqual(answers, []);
  });

  it('gives what comes after checks that said to wait, and checks no more', async () => {
    let checks = 0;
    let give: (bytes: string) => void = () => undefined;
    const attempt = () => new Promise<string>((resolve) => void (give = resolve));
    const isToWait = () => {
      checks += 1;
      if (checks === 3) give('bytes');
      return Promise.resolve(true);
    };
    assert.equal(await whileToWait(attempt, { checkMs: 1, isToWait }, never), 'bytes');
    assert.equal(checks, 3);
  });

  it('ends with the signal, also within a check', async () => {
    for (const isToWait of [isSilent, () => Promise.resolve(true)]) {
      const leaving = new AbortController();
      const waiting = whileToWait(isSilent, { checkMs: 1, isToWait }, leaving.signal);
      setTimeout(() => {
        leaving.abort(new Error('the client left'));
      }, 20);
      await assert.rejects(waiting, /the client left/);
    }
  });

  it('ends a check when the attempt has ended', async () => {
    let hasEnded = false;
    let give: (bytes: string) => void = () => undefined;
    const attempt = () => new Promise<string>((resolve) => void (give = resolve));
    const isToWait = async (signal: AbortSignal) => {
      give('bytes');
      await once(signal, 'abort');
      hasEnded = true;
      throw signal.reason;
    };
    assert.equal(await whileToWait(attempt, { checkMs: 1, isToWait }, never), 'bytes');
    assert.equal(hasEnded, true);
  });

  it('throws what the attempt throws', async () => {
    const attempt = () => Promise.reject(new Error('no route'));
    const isToWait = () => Promise.resolve(true);
    await assert.rejects(whileToWait(attempt, { checkMs: 1, isToWait }, never), /no route/);
  });
});
