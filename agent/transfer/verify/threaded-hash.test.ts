import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Libc } from '../../native/libc.ts';
import { Pipes, type Pipe } from '../../native/pipes.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { HashingThread } from './hashing-thread.ts';
import { ThreadedHash } from './threaded-hash.ts';

const content = randomBytes(150_000);
const descriptor = {
  mediaType: MEDIA_TYPE.binary,
  digest: sha256(content),
  size: content.length,
};

/** A thread that ends with the test. */
function startThread(idleMs?: number): HashingThread & Disposable {
  const thread = new HashingThread(idleMs);
  return Object.assign(thread, {
    [Symbol.dispose]: () => {
      thread.stop();
    },
  });
}

/** A pipe of 1 MiB that knows whether it is closed. */
function openPipe(): Pipe & { isClosed: boolean } {
  const { readEnd, writeEnd, [Symbol.dispose]: close } = new Pipes({ libc: new Libc() }).open();
  return {
    readEnd,
    writeEnd,
    isClosed: false,
    [Symbol.dispose]() {
      this.isClosed = true;
      close();
    },
  };
}

describe('ThreadedHash', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  it('verifies bytes from memory and from pipes, in their order', async () => {
    using thread = startThread();
    using hash = new ThreadedHash({ thread }, descriptor);
    void hash.update(content.subarray(0, 10));
    for (const [start, end] of [
      [10, 60_000],
      [60_000, 149_000],
    ] as const) {
      const [pipe, tap] = [openPipe(), hash.tap(end - start)];
      tap.begin(pipe);
      writeSync(pipe.writeEnd, content.subarray(start, end));
      tap.passed(end - start);
      tap.end();
      await eventually(() => {
        assert.ok(pipe.isClosed);
      });
    }
    assert.equal(hash.position, 149_000);
    await hash.update(content.subarray(149_000));
    await hash.verify();
  });

  it('reads no bytes of a pipe that have not passed', async () => {
    using thread = startThread();
    using hash = new ThreadedHash({ thread }, descriptor);
    const [pipe, tap] = [openPipe(), hash.tap(content.length)];
    tap.begin(pipe);
    writeSync(pipe.writeEnd, content.subarray(0, 30_000));
    writeSync(pipe.writeEnd, 'of another peer, and not right');
    tap.passed(30_000);
    tap.end();
    await hash.update(content.subarray(30_000));
    await hash.verify();
  });

  it('releases the end of a body only when its digest is right', async () => {
    using thread = startThread();
    for (const isRight of [true, false]) {
      using hash = new ThreadedHash({ thread }, descriptor);
      const [pipe, tap] = [openPipe(), hash.tap(content.length)];
      tap.begin(pipe);
      writeSync(pipe.writeEnd, isRight ? content : Buffer.alloc(content.length));
      tap.passed(content.length);
      const released = tap.release?.();
      if (isRight) await released;
      else await assert.rejects(released ?? Promise.resolve(), { reason: 'digest' });
      assert.equal(pipe.isClosed, false, 'the pipe is in use until the body has ended');
      tap.end();
      await eventually(() => {
        assert.ok(pipe.isClosed);
      });
    }
  });

  it('withholds nothing of a part that ends before the body', () => {
    using thread = startThread();
    using hash = new ThreadedHash({ thread }, descriptor);
    assert.equal(hash.tap(content.length - 1).release, undefined);
  });

  it('hashes what single peers deliver on its own too', async () => {
    using thread = startThread();
    using hash = new ThreadedHash({ thread }, descriptor);
    const parts = [
      { peerId: undefined, range: { start: 0, end: 999 } },
      { peerId: 'one', range: { start: 1_000, end: 49_999 } },
      { peerId: 'other', range: { start: 50_000, end: 59_999 } },
      { peerId: undefined, range: { start: 60_000, end: content.length - 1 } },
    ];
    for (const { peerId, range } of parts) {
      hash.deliverer(peerId);
      void hash.update(content.subarray(range.start, range.end + 1));
    }
    await hash.verify();
    const named = parts.filter(({ peerId }) => peerId !== undefined);
    assert.deepEqual(hash.delivered, {
      shares: named,
      digests: named.map(({ range: { start, end } }) =>
        createHash('sha256')
          .update(content.subarray(start, end + 1))
          .digest('hex'),
      ),
    });
  });

  it('goes on with one body while another one waits for its bytes', async () => {
    using thread = startThread();
    using waiting = new ThreadedHash({ thread }, descriptor);
    const pipe = openPipe();
    waiting.tap(content.length).begin(pipe);
    using hash = new ThreadedHash({ thread }, descriptor);
    await hash.update(content);
    await hash.verify();
    assert.equal(pipe.isClosed, false);
  });

  it('closes its pipe when it is disposed of, and then ends the thread', async () => {
    using thread = startThread(10);
    const pipe = openPipe();
    {
      using hash = new ThreadedHash({ thread }, descriptor);
      hash.tap(content.length).begin(pipe);
      assert.ok(thread.isUp);
    }
    await eventually(() => {
      assert.ok(pipe.isClosed && !thread.isUp);
    });
    using hash = new ThreadedHash({ thread }, descriptor);
    await hash.update(content);
    await hash.verify();
  });

  it('fails, and closes its pipe, when the thread ends', async () => {
    using thread = startThread();
    using hash = new ThreadedHash({ thread }, descriptor);
    const pipe = openPipe();
    hash.tap(content.length).begin(pipe);
    const verified = assert.rejects(hash.verify(), /thread has ended/);
    thread.stop();
    await verified;
    assert.ok(hash.failing.aborted && pipe.isClosed);
  });

  it('fails when its pipe cannot be read', async () => {
    using thread = startThread();
    using hash = new ThreadedHash({ thread }, descriptor);
    const [pipe, tap] = [openPipe(), hash.tap(content.length)];
    tap.begin(pipe);
    tap.passed(1); // there is no byte
    await assert.rejects(hash.verify(), /EAGAIN/);
    assert.ok(hash.failing.aborted && pipe.isClosed);
  });
});
