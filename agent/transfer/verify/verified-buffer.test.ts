import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, it } from 'node:test';

import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts';
import { peerResponse } from '../../testing/peer-response.ts';
import { VerifiedBuffer } from './verified-buffer.ts';

const LARGE = 3_000_000;

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
    const content = await new VerifiedBuffer().read(peerResponse(bytes, [bytes]));
    assert.ok(content.bytes.equals(bytes));
    assert.equal(content.reservation, undefined);
  });

  it('reads the next body only when a reservation is free again', async () => {
    const buffer = new VerifiedBuffer({ size: LARGE, memory: 2 * LARGE - 1 });
    const [one, other] = [randomBytes(LARGE), randomBytes(LARGE)];
    const first = await buffer.read(peerResponse(one, [one]));
    let isRead = false;
    const second = buffer.read(peerResponse(other, [other])).then((content) => {
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
    await assert.rejects(buffer.read(wrong), { reason: 'digest' });
    using content = (await buffer.read(peerResponse(bytes, [bytes]))).reservation;
    assert.ok(content);
  });
});
