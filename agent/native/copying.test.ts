import assert from 'node:assert/strict';
import { readSync, writeSync } from 'node:fs';
import { describe, it } from 'node:test';

import { eventually } from '../testing/eventually.ts';
import { Silence } from '../timing/silence.ts';
import { Copying } from './copying.ts';
import { Libc } from './libc.ts';
import { Pipes, type Pipe } from './pipes.ts';
import { Readiness } from './readiness.ts';
import { splice, type MovedChunk } from './splice.ts';
import type { OptionalTap, Tap } from './tap.ts';

const never = new AbortController().signal;

/** A tap that reads at once, and is wanted when the test says so. */
class SwitchedTap implements OptionalTap {
  isWanted = false;
  seen = '';
  begun = 0;
  ended = 0;

  open(): Tap {
    let pipe: Pipe | undefined;
    return {
      begin: (it) => {
        this.begun += 1;
        pipe = it;
      },
      passed: (bytes) => {
        const buffer = Buffer.alloc(bytes);
        assert.equal(readSync(pipe?.readEnd ?? -1, buffer), bytes);
        this.seen += buffer.toString('latin1');
      },
      end: () => {
        this.ended += 1;
        pipe?.[Symbol.dispose]();
      },
    };
  }
}

describe('Copying', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  /** A sender and a receiver; pipes stand for the connections. */
  function makeEnds(optionalTap: OptionalTap, budget = 8 * 64 * 1024) {
    const libc = new Libc();
    const [sender, receiver] = [libc.pipe(1024 * 1024), libc.pipe(64 * 1024)];
    const pipes = new Pipes({ libc }, { bytes: budget });
    const readiness = new Readiness(libc);
    const silence = new Silence({ stallTimeout: 5_000 });
    const components = { libc, readiness, pipes, slot: (call: () => Promise<number>) => call() };
    return {
      parts: { libc, readiness, pipes },
      pipes,
      send: (text: string) => writeSync(sender.writeEnd, text, null, 'latin1'),
      move: (length: number) => {
        const init = { from: sender.readEnd, to: receiver.writeEnd, length, silence, optionalTap };
        return splice(components, init, never);
      },
      received: (): string => {
        const bytes = Buffer.alloc(1024 * 1024);
        try {
          return bytes.toString('latin1', 0, readSync(receiver.readEnd, bytes));
        } catch {
          return ''; // There is nothing in the pipe.
        }
      },
      [Symbol.dispose]: () => {
        for (const fd of [sender.readEnd, sender.writeEnd, receiver.readEnd, receiver.writeEnd]) {
          libc.close(fd);
        }
      },
    };
  }

  it('copies only what is moved while a copy is wanted', async () => {
    const tap = new SwitchedTap();
    using ends = makeEnds(tap);
    const moving = ends.move(12);
    let seen = '';
    for (const [text, isWanted] of [
      ['one', false],
      ['two', true],
      ['six', false],
      ['ten', true],
    ] as const) {
      tap.isWanted = isWanted;
      const next = moving.next();
      ends.send(text);
      const { value } = (await next) as IteratorResult<MovedChunk, void>;
      assert.equal(value?.length, 3);
      if (isWanted) seen += text;
      assert.equal(tap.seen, seen);
    }
    assert.equal((await moving.next()).done, true);
    assert.equal(ends.received(), 'onetwosixten');
    assert.deepEqual([tap.begun, tap.ended], [2, 2]);
  });

  it('reports the time in which it gathers as waiting for the sender', async () => {
    const tap = new SwitchedTap();
    tap.isWanted = true;
    using ends = makeEnds(tap);
    // The bytes are there at once, so that all of the time passes while they are gathered.
    ends.parts.readiness.wait = () => {
      ends.send('x');
      return Promise.resolve();
    };
    const count = 10;
    let waited = 0;
    for await (const chunk of ends.move(count)) waited += chunk.waited;
    assert.equal(ends.received().length, count);
    assert.ok(waited >= count, `${waited} ms`);
  });

  it('begins at a byte of the body, and loses none, while the receiver is full', async () => {
    const tap = new SwitchedTap();
    using ends = makeEnds(tap);
    const text = Array.from({ length: 30_000 }, (_, index) => String(index)).join(' ');
    ends.send(text);
    let received = '';
    let before = 0;
    let moved = 0;
    const done = (async () => {
      for await (const { length } of ends.move(text.length)) {
        moved += length;
        if (moved <= 64 * 1024) {
          before = moved;
          tap.isWanted = true;
        }
      }
    })();
    await eventually(() => {
      received += ends.received();
      assert.equal(received.length, text.length);
    });
    await done;
    assert.equal(received, text);
    assert.ok(tap.seen.length > 0 && before > 0);
    assert.ok(text.endsWith(tap.seen));
  });

  it('goes on without a copy where there is no second pipe', async () => {
    const tap = new SwitchedTap();
    tap.isWanted = true;
    using ends = makeEnds(tap);
    const open = Array.from({ length: 5 }, () => ends.pipes.open());
    ends.send('bytes');
    for await (const { length } of ends.move(5)) assert.equal(length, 5);
    assert.equal(ends.received(), 'bytes');
    assert.deepEqual([tap.seen, tap.begun], ['', 0]);
    for (const pipe of open) pipe[Symbol.dispose]();
  });

  it('has what is in the pipe leave before it begins or ends', () => {
    const tap = new SwitchedTap();
    using ends = makeEnds(tap);
    using pipe = ends.pipes.open();
    using copying = new Copying(ends.parts, { optionalTap: tap }, pipe.readEnd);
    assert.equal(copying.update(10), true);
    tap.isWanted = true;
    assert.equal(copying.update(10), false);
    assert.equal(tap.begun, 0);
    assert.equal(copying.isOptional, false);
    assert.equal(copying.update(0), true);
    assert.equal(tap.begun, 1);
    assert.equal(copying.isOptional, true);
    tap.isWanted = false;
    assert.equal(copying.update(1), false);
    assert.equal(copying.update(0), true);
    assert.equal(tap.ended, 1);
    assert.equal(copying.copy, undefined);
  });
});
