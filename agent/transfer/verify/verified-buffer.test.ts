import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, it } from 'node:test';

import { codeOf } from '../../errors/system-error.ts';
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts';
import { peerResponse } from '../../testing/peer-response.ts';
import { VerifiedBuffer } from './verified-buffer.ts';

const LARGE = 3_000_000;
const never = new AbortController().signal;

function descriptorOf(size: number) {
  return { ...peerResponse(Buffer.alloc(0), []).descriptor, size };
}

describe('VerifiedBuffer', () => {
  it('accepts blobs up to its size, and every manifest', () => {
    const buffer = new VerifiedBuffer({ size: 1_000 });
    assert.ok(buffer.accepts('blob', descriptorOf(1_000)));
    assert.ok(!buffer.accepts('blob', descriptorOf(1_001)));
    assert.ok(buffer.accepts('manifest', descriptorOf(MAX_MANIFEST_BYTES)));
    assert.ok(!buffer.accepts('manifest', descriptorOf(MAX_MANIFEST_BYTES + 1)));
  });

  it('gives small content without a reservation', async () => {
    const bytes = randomBytes(64 * 1024);
    const content = await new VerifiedBuffer().read(peerResponse(bytes, [bytes]), {}, never);
    assert.ok(content.bytes.equals(bytes));
    assert.equal(content.reservation, undefined);
  });

  it('reads the next body only when a reservation is free again', async () => {
    const buffer = new VerifiedBuffer({ size: LARGE, memory: 2 * LARGE - 1 });
    const [one, other] = [randomBytes(LARGE), randomBytes(LARGE)];
    const first = await buffer.read(peerResponse(one, [one]), {}, never);
    let isRead = false;
    const second = buffer.read(peerResponse(other, [other]), {}, never).then((content) => {
      isRead = true;
      return content;
    });
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
    assert.equal(isRead, false);
    first.reservation?.[Symbol.dispose]();
    const { bytes, reservation } = await second;
    assert.ok(bytes.equals(other));
    reservation?.[Symbol.dispose]();
  });

  it('frees the memory of content whose digest is wrong', async () => {
    const buffer = new VerifiedBuffer({ size: LARGE, memory: LARGE });
    const bytes = randomBytes(LARGE);
    const wrong = peerResponse(bytes, [Buffer.alloc(LARGE)]);
    await assert.rejects(buffer.read(wrong, {}, never), { reason: 'digest' });
    using content = (await buffer.read(peerResponse(bytes, [bytes]), {}, never)).reservation;
    assert.ok(content);
  });

  for (const size of [1_000, LARGE]) {
    it(`does not let ${size} bytes of one image wait for slow bodies of another`, async () => {
      const buffer = new VerifiedBuffer({ size: LARGE });
      const stop = new AbortController();
      const bytes = randomBytes(size);
      let begun = 0;
      const onBegin = (): number => (begun += 1);
      const slow = Array.from({ length: 1_000 }, () => {
        const body = new Readable({ read: () => undefined });
        const read = buffer.read(
          peerResponse(bytes, body),
          { groups: ['a'], onBegin },
          stop.signal,
        );
        return read.catch((error: unknown) => error);
      });
      const other = await buffer.read(peerResponse(bytes, [bytes]), { groups: ['b'] }, never);
      assert.ok(other.bytes.equals(bytes));
      other.reservation?.[Symbol.dispose]();
      assert.ok(begun > 0 && begun < slow.length);
      stop.abort();
      const codes = (await Promise.all(slow)).map((error) => codeOf(error));
      assert.equal(codes.filter((code) => code === 'ERR_MEMORY_BUSY').length, slow.length - begun);
    });
  }
});
