import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { peerResponse } from '../../testing/peer-response.ts';
import { GRACE_MS, MIN_RATE, readVerified, verifyBody, verifyInPassing } from './verify-body.ts';

const content = randomBytes(1_000);
const halves = [content.subarray(0, 500), content.subarray(500)];
const { descriptor } = peerResponse(content, []);

describe('readVerified', () => {
  it('returns the bytes whose digest matches', async () => {
    assert.ok((await readVerified(peerResponse(content, halves))).equals(content));
  });

  const faults = {
    digest: [Buffer.alloc(1_000)],
    body: [content.subarray(0, 999)],
    protocol: [content, Buffer.from('!')],
  } as const;
  for (const [reason, chunks] of Object.entries(faults)) {
    const length = Buffer.concat(chunks).length;
    it(`rejects ${length} bytes for a blob of 1000 as ${reason}`, async () => {
      await assert.rejects(readVerified(peerResponse(content, chunks)), { reason });
    });
  }

  it('gives up a body that is slower than the minimum rate', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const body = new Readable({ read: () => undefined });
    const reading = assert.rejects(readVerified(peerResponse(content, body)), {
      reason: 'timeout',
    });
    t.mock.timers.tick(GRACE_MS + Math.ceil((content.length / MIN_RATE) * 1000));
    await reading;
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
