import assert from 'node:assert/strict';
import { readSync, writeSync } from 'node:fs';
import { describe, it } from 'node:test';

import { eventually } from '../testing/eventually.ts';
import { Libc } from './libc.ts';
import { Pipes, type Pipe } from './pipes.ts';
import { Readiness } from './readiness.ts';
import { splice } from './splice.ts';
import type { Tap } from './tap.ts';
import { Silence } from '../timing/silence.ts';

const never = new AbortController().signal;

/** A tap that keeps the bytes it has read. It reads its pipe only when the test calls for it. */
class KeepingTap implements Tap {
  pipe: Pipe | undefined;
  ready = 0;
  seen = '';
  hasEnded = false;
  readonly release?: () => Promise<void>;

  constructor(release?: () => Promise<void>) {
    if (release !== undefined) this.release = release;
  }

  begin(pipe: Pipe): void {
    this.pipe = pipe;
  }

  passed(bytes: number): void {
    this.ready += bytes;
  }

  end(): void {
    this.hasEnded = true;
  }

  read(): string {
    const bytes = Buffer.alloc(this.ready);
    for (let done = 0; done < bytes.length;) {
      done += readSync(this.pipe?.readEnd ?? -1, bytes, done, bytes.length - done, null);
    }
    this.ready = 0;
    this.seen += bytes.toString('latin1');
    return this.seen;
  }

  [Symbol.dispose](): void {
    this.pipe?.[Symbol.dispose]();
  }
}

describe('splice with a tap', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  /** A sender and a receiver; pipes stand for the connections. */
  function makeEnds(tap: KeepingTap) {
    const libc = new Libc();
    const [sender, receiver] = [libc.pipe(1024 * 1024), libc.pipe(64 * 1024)];
    // Enough for the pipe that moves the bytes, and for the smallest one as the tap's.
    const pipes = new Pipes({ libc }, { bytes: 8 * 64 * 1024 });
    const components = {
      libc,
      readiness: new Readiness(libc),
      pipes,
      slot: (call: () => Promise<number>) => call(),
    };
    return {
      pipes,
      send: (text: string) => writeSync(sender.writeEnd, text, null, 'latin1'),
      close: () => {
        libc.close(sender.writeEnd);
      },
      move: (length: number, signal = never) =>
        splice(
          components,
          {
            from: sender.readEnd,
            to: receiver.writeEnd,
            length,
            silence: new Silence({ stallTimeout: 5_000 }),
            tap,
          },
          signal,
        ),
      received: (): string => {
        const bytes = Buffer.alloc(1024 * 1024);
        try {
          return bytes.toString('latin1', 0, readSync(receiver.readEnd, bytes));
        } catch {
          return ''; // There is nothing in the pipe.
        }
      },
      [Symbol.dispose]: () => {
        for (const fd of [sender.readEnd, receiver.readEnd, receiver.writeEnd]) libc.close(fd);
        tap[Symbol.dispose]();
      },
    };
  }

  it('copies the bytes that the receiver gets', async () => {
    const tap = new KeepingTap();
    using ends = makeEnds(tap);
    ends.send('some bytes');
    for await (const { length } of ends.move(10)) assert.equal(length, 10);
    assert.deepEqual([ends.received(), tap.read()], ['some bytes', 'some bytes']);
    assert.ok(tap.hasEnded);
  });

  it('lets the tap read no more than the receiver has got when it ends early', async () => {
    const tap = new KeepingTap();
    using ends = makeEnds(tap);
    const text = 'x'.repeat(100 * 1024);
    ends.send(text);
    let moved = 0;
    for await (const { length } of ends.move(text.length)) {
      moved += length;
      break; // as when another sender is to continue
    }
    assert.ok(moved < text.length, 'the receiver is full');
    assert.equal(tap.read().length, moved);
    assert.equal(ends.received().length, moved);
  });

  it('withholds the last bytes until the tap has released them', async () => {
    const released = Promise.withResolvers<undefined>();
    const tap = new KeepingTap(() => released.promise);
    using ends = makeEnds(tap);
    ends.send('some bytes');
    const moving = ends.move(10);
    const first = await moving.next();
    assert.deepEqual(first.value, { length: 10, waited: 0, isWithheld: true });
    assert.equal(tap.read(), 'some bytes');
    const end = moving.next();
    assert.equal(ends.received(), '');
    released.resolve(undefined);
    assert.equal((await end).done, true);
    assert.equal(ends.received(), 'some bytes');
  });

  it('never sends them when the tap rejects, and sends those before', async () => {
    const tap = new KeepingTap(() => Promise.reject(new Error('wrong')));
    using ends = makeEnds(tap);
    const text = 'x'.repeat(80 * 1024);
    ends.send(text);
    let received = '';
    const moving = async (): Promise<void> => {
      for await (const { length } of ends.move(text.length)) {
        assert.ok(length > 0);
        received += ends.received();
        tap.read();
      }
    };
    await assert.rejects(moving(), /wrong/);
    received += ends.received();
    assert.equal(tap.seen, text);
    assert.equal(
      received.length,
      64 * 1024,
      'as much as was in the pipe of the tap before the end',
    );
  });

  it('withholds nothing of a body that its sender breaks off', async () => {
    const tap = new KeepingTap(() => Promise.reject(new Error('wrong')));
    using ends = makeEnds(tap);
    ends.send('some');
    ends.close();
    const moving = ends.move(10);
    await moving.next();
    assert.equal(ends.received(), 'some');
    await assert.rejects(moving.next(), { code: 'ERR_SENDER' });
  });

  it('waits for a tap that does not read, and ends with the reason of the signal', async () => {
    const tap = new KeepingTap();
    using ends = makeEnds(tap);
    const text = 'x'.repeat(300 * 1024);
    ends.send(text);
    const stop = new AbortController();
    let received = '';
    const moving = (async (): Promise<void> => {
      for await (const { length } of ends.move(text.length, stop.signal)) {
        received += ends.received();
        assert.ok(length <= received.length);
      }
    })();
    await eventually(() => {
      assert.equal(received.length, 64 * 1024, 'what is in the pipe of the tap');
    });
    assert.equal(tap.read().length, 64 * 1024);
    await eventually(() => {
      assert.equal(received.length, 128 * 1024);
    });
    stop.abort(new Error('left'));
    await assert.rejects(moving, /left/);
  });

  it('moves nothing without a pipe for the copy', async () => {
    const tap = new KeepingTap();
    using ends = makeEnds(tap);
    using stack = new DisposableStack();
    assert.throws(
      () => {
        for (;;) stack.use(ends.pipes.open(3 / 4));
      },
      { code: 'ERR_PIPES_SPENT' },
    );
    ends.send('some');
    await assert.rejects(ends.move(4).next(), { code: 'ERR_PIPES_SPENT' });
    assert.equal(tap.pipe, undefined);
    stack.use(ends.pipes.open()); // others have the rest
  });
});
