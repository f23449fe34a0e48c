import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { peerResponse } from '../../testing/peer-response.ts';
import { PeerError } from '../client/peer-error.ts';
import { GRACE_MS, MIN_RATE, readVerified, verifyBody, verifyInPassing } from './verify-body.ts';

const never = new AbortController().signal;

const content = randomBytes(1_000);
const halves = [content.subarray(0, 500), content.subarray(500)];
const { descriptor } = peerResponse(content, []);

describe('readVerified', () => {
  it('returns the bytes whose digest matches', async () => {
    assert.ok((await readVerified(peerResponse(content, halves), never)).equals(content));
  });

  it('says how much has come, and in which time, however it ends', async () => {
    const ends: [number, boolean][] = [];
    const onEnd = (bytes: number, milliseconds: number): void => {
      ends.push([bytes, milliseconds >= 0]);
    };
    await readVerified(peerResponse(content, halves), never, onEnd);
    const broken = readVerified(peerResponse(content, halves.slice(1)), never, onEnd);
    await assert.rejects(broken, { reason: 'body' });
    assert.deepEqual(ends, [
      [1_000, true],
      [500, true],
    ]);
  });

  const faults = {
    digest: [Buffer.alloc(1_000)],
    body: [content.subarray(0, 999)],
    protocol: [content, Buffer.from('!')],
  } as const;
  for (const [reason, chunks] of Object.entries(faults)) {
    const length = Buffer.concat(chunks).length;
    it(`rejects ${length} bytes for a blob of 1000 as ${reason}`, async () => {
      await assert.rejects(readVerified(peerResponse(content, chunks), never), { reason });
    });
  }

  /** Bytes that need many seconds at the minimum rate. */
  const large = randomBytes(8 * MIN_RATE);

  it('gives up a body as soon as it is slower than the minimum rate', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const body = new Readable({ read: () => undefined });
    const reading = assert.rejects(readVerified(peerResponse(large, body), never), {
      reason: 'timeout',
      message: `0 bytes in ${GRACE_MS + 250} ms`,
    });
    t.mock.timers.tick(GRACE_MS + 250);
    await reading;
  });

  it('waits for a body that arrives at the minimum rate', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const body = new Readable({ read: () => undefined });
    const reading = readVerified(peerResponse(large, body), never);
    for (let start = 0; start < large.length; start += MIN_RATE) {
      body.push(large.subarray(start, start + MIN_RATE));
      await nextTurn();
      t.mock.timers.tick(1_000);
    }
    body.push(null);
    assert.ok((await reading).equals(large));
  });

  it('ends with its signal, and so does the body', async () => {
    const stop = new AbortController();
    const body = new Readable({ read: () => undefined });
    const reading = readVerified(peerResponse(content, body), stop.signal);
    stop.abort(new PeerError('timeout', 'the time is over'));
    await assert.rejects(reading, { message: 'the time is over' });
    assert.ok(body.destroyed);
  });
});

describe('verifyBody', () => {
  it('hands each chunk on before the whole is verified', async () => {
    const chunks: Buffer[] = [];
    const wrong = [halves[0] ?? Buffer.alloc(0), Buffer.alloc(500)];
    const verifying = verifyBody(peerResponse(content, wrong), (chunk) => chunks.push(chunk));
    await assert.rejects(verifying, { reason: 'digest' });
    assert.deepEqual(chunks, wrong);
  });
});

describe('verifyInPassing', () => {
  async function collect(chunks: readonly Buffer[], failure?: Error): Promise<[Buffer, unknown]> {
    const body = async function* (): AsyncGenerator<Buffer> {
      await Promise.resolve();
      yield* chunks;
      if (failure) throw failure;
    };
    const received: Uint8Array[] = [];
    let error: unknown;
    try {
      for await (const chunk of verifyInPassing(body(), descriptor)) received.push(chunk);
    } catch (thrown) {
      error = thrown;
    }
    return [Buffer.concat(received), error];
  }

  it('forwards all of a body whose digest matches', async () => {
    const [received, error] = await collect(halves);
    assert.ok(received.equals(content));
    assert.equal(error, undefined);
  });

  it('withholds the last chunk of a body whose digest does not match', async () => {
    const [received, error] = await collect([...halves.slice(0, 1), Buffer.alloc(500)]);
    assert.ok(received.equals(content.subarray(0, 500)));
    assert.equal((error as { reason?: string }).reason, 'digest');
  });

  it('forwards every chunk of a body that breaks, since the client resumes after it', async () => {
    const broken = new Error('broken');
    const [received, error] = await collect(halves.slice(0, 1), broken);
    assert.ok(received.equals(content.subarray(0, 500)));
    assert.equal(error, broken);
  });

  it('forwards an empty body', async () => {
    const empty = peerResponse(Buffer.alloc(0), []);
    const body = Readable.from([]) as AsyncIterable<Uint8Array>;
    for await (const chunk of verifyInPassing(body, empty.descriptor)) {
      assert.fail(`${chunk.length} bytes`);
    }
  });
});
