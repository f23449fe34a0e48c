import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { Libc } from '../../native/libc.ts';
import { Pipes } from '../../native/pipes.ts';
import type { Sink } from '../../native/sink.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { tailedStream, TailedSink } from './tailed-body.ts';
import type { BodyTail } from '../../content/tail-writer.ts';

/** Keeps what it gets. */
class KeptTail implements BodyTail {
  isWanted = true;
  readonly parts: { readonly offset: number; readonly text: string }[] = [];

  append(offset: number, bytes: Uint8Array): void {
    this.parts.push({ offset, text: Buffer.from(bytes).toString('latin1') });
  }

  [Symbol.dispose](): void {
    this.isWanted = false;
  }
}

function sinkOf(): Sink & { readonly written: string[]; count: number } {
  const written: string[] = [];
  return {
    socket: new Socket(),
    written,
    count: 0,
    write: (bytes) => {
      written.push(Buffer.from(bytes).toString('latin1'));
      return Promise.resolve();
    },
    moved(bytes) {
      this.count += bytes;
    },
  };
}

describe('tailedStream', () => {
  it('gives each chunk at its offset while that is wanted, and forwards all', async () => {
    const tail = new KeptTail();
    const body = Readable.from([Buffer.from('abc'), Buffer.from('de'), Buffer.from('fgh')]);
    const answer = { body, range: { start: 100, end: 106 } } as unknown as PeerResponse;
    const forwarded: string[] = [];
    for await (const chunk of tailedStream(answer, tail)) {
      forwarded.push(Buffer.from(chunk).toString('latin1'));
      tail.isWanted = forwarded.length > 1;
    }
    assert.deepEqual(forwarded, ['abc', 'de', 'fgh']);
    // The last byte is one more than the peer was asked for.
    assert.deepEqual(tail.parts, [
      { offset: 100, text: 'abc' },
      { offset: 105, text: 'fg' },
    ]);
  });
});

describe('TailedSink', () => {
  it('gives what is written, behind what was moved', async () => {
    const tail = new KeptTail();
    const under = sinkOf();
    const sink = new TailedSink(under, tail, 10);
    assert.equal(sink.socket, under.socket);
    await sink.write(Buffer.from('abc'));
    sink.moved(5);
    await sink.write(Buffer.from('de'));
    tail.isWanted = false;
    await sink.write(Buffer.from('f'));
    assert.deepEqual(under.written, ['abc', 'de', 'f']);
    assert.equal(under.count, 5);
    assert.deepEqual(tail.parts, [
      { offset: 10, text: 'abc' },
      { offset: 18, text: 'de' },
    ]);
  });

  it(
    'gives what the kernel moves, read from its pipe',
    { skip: process.platform !== 'linux' && 'Linux only' },
    () => {
      const libc = new Libc();
      const pipes = new Pipes({ libc }, { bytes: 1024 * 1024 });
      const tail = new KeptTail();
      const sink = new TailedSink(sinkOf(), tail, 10);
      sink.moved(7);
      assert.equal(sink.optionalTap.isWanted, true);
      const tap = sink.optionalTap.open();
      const pipe = pipes.open();
      tap.begin(pipe);
      const text = 'x'.repeat(100_000);
      for (const part of [text.slice(0, 60_000), text.slice(60_000)]) {
        for (let at = 0; at < part.length; at += 50_000) {
          writeSync(pipe.writeEnd, part.slice(at, at + 50_000), null, 'latin1');
          tap.passed(Math.min(50_000, part.length - at));
        }
      }
      tap.end();
      assert.equal(tail.parts.map((part) => part.text).join(''), text);
      let next = 17;
      for (const part of tail.parts) {
        assert.equal(part.offset, next);
        next += part.text.length;
      }
      // All of its budget is free again.
      const again = Array.from({ length: 4 }, () => pipes.open());
      for (const one of again) one[Symbol.dispose]();
      tail[Symbol.dispose]();
      assert.equal(sink.optionalTap.isWanted, false);
    },
  );
});
