import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';

import { DirectBody, type BodyConnection } from './direct-body.ts';

const STALL_MS = 1_000;
const never = new AbortController().signal;

/** A body over a connection that records what is asked of it. */
function startBody(length: number) {
  const calls: string[] = [];
  const connection: BodyConnection = {
    socket: new Socket(),
    isMovable: true,
    pause: () => calls.push('pause'),
    resume: () => calls.push('resume'),
    release: () => calls.push('release'),
    done: (isReusable) => calls.push(isReusable ? 'reusable' : 'ended'),
  };
  return {
    body: new DirectBody(connection, length, {
      stallTimeout: STALL_MS,
      firstByteTimeout: STALL_MS,
    }),
    calls,
  };
}

/** Ends of the connection that the body has reported. */
function endsOf(calls: readonly string[]): string[] {
  return calls.filter((call) => call === 'reusable' || call === 'ended');
}

function useFakeTime(t: TestContext): void {
  t.mock.timers.enable({ apis: ['setTimeout'] });
}

describe('DirectBody', () => {
  it('gives the bytes and frees the connection for another request', async () => {
    const { body, calls } = startBody(10);
    const read = buffer(body);
    body.arrived(Buffer.from('01234'));
    body.arrived(Buffer.from('56789'));
    assert.equal((await read).toString(), '0123456789');
    assert.deepEqual(endsOf(calls), ['reusable']);
  });

  it('frees the connection of an empty body', async () => {
    const { body, calls } = startBody(0);
    assert.equal((await buffer(body)).length, 0);
    assert.deepEqual(endsOf(calls), ['reusable']);
  });

  it('refuses more bytes than declared', async () => {
    const { body, calls } = startBody(2);
    const read = assert.rejects(buffer(body), { reason: 'protocol' });
    assert.equal(body.arrived(Buffer.from('123')), false);
    await read;
    assert.deepEqual(endsOf(calls), ['ended']);
  });

  it('fails when its connection ends early, and not when it ends later', async () => {
    const short = startBody(2);
    const read = assert.rejects(buffer(short.body), { reason: 'body' });
    short.body.arrived(Buffer.from('1'));
    short.body.broke(undefined);
    await read;

    const whole = startBody(2);
    whole.body.arrived(Buffer.from('12'));
    whole.body.broke(new Error('later'));
    assert.equal((await buffer(whole.body)).toString(), '12');
  });

  it('fails after a time without a byte, which each byte begins again', async (t) => {
    useFakeTime(t);
    const { body } = startBody(10);
    const read = assert.rejects(buffer(body), { reason: 'timeout' });
    t.mock.timers.tick(STALL_MS - 1);
    body.arrived(Buffer.from('1'));
    await new Promise(setImmediate);
    t.mock.timers.tick(STALL_MS - 1);
    assert.equal(body.errored, null);
    t.mock.timers.tick(1);
    await read;
  });

  it('does not count the time in which no reader waits', (t) => {
    useFakeTime(t);
    const { body } = startBody(100_000);
    body.arrived(Buffer.alloc(50_000));
    t.mock.timers.tick(100 * STALL_MS);
    assert.equal(body.errored, null);
    body.destroy();
  });

  it('hands over the read bytes and the number of those that are left', async () => {
    const { body, calls } = startBody(10);
    body.arrived(Buffer.from('012'));
    const rest = body.takeOver();
    assert.equal(rest.takeRead().toString(), '012');
    assert.equal(rest.left, 7);
    assert.equal(calls.at(-1), 'pause');
    rest.finished();
    body.destroy();
    await once(body, 'close');
    assert.deepEqual(endsOf(calls), ['reusable']);
  });

  it('becomes a stream again when nothing was moved', async () => {
    const { body } = startBody(6);
    body.arrived(Buffer.from('012'));
    const rest = body.takeOver();
    assert.equal(rest.takeRead().toString(), '012');
    rest.backToStream();
    const read = buffer(body);
    body.arrived(Buffer.from('345'));
    assert.equal((await read).toString(), '345');
  });

  it('reads a short rest to keep the connection, and gives up a long one', async () => {
    const short = startBody(5);
    const dumped = short.body.dump({ limit: 5, signal: never });
    short.body.arrived(Buffer.from('01234'));
    await dumped;
    assert.deepEqual(endsOf(short.calls), ['reusable']);

    const long = startBody(6);
    await long.body.dump({ limit: 5, signal: never });
    assert.deepEqual(endsOf(long.calls), ['ended']);
  });
});
