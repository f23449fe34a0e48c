import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { sha256 } from '../../testing/image.ts';
import { HashingSink } from './hashing-sink.ts';
import { HashingThread } from './hashing-thread.ts';
import { ThreadedHash } from './threaded-hash.ts';

const content = randomBytes(1_000);
const descriptor = { mediaType: MEDIA_TYPE.binary, digest: sha256(content), size: content.length };

describe('HashingSink', () => {
  /** Writes the chunks, and returns what the client has got before and after the end. */
  async function send(...chunks: readonly Buffer[]) {
    const thread = new HashingThread();
    const received: Uint8Array[] = [];
    const sink = {
      socket: new Socket(),
      write: (bytes: Uint8Array) => Promise.resolve(void received.push(Uint8Array.from(bytes))),
      moved: () => undefined,
    };
    try {
      using hash = new ThreadedHash({ thread }, descriptor);
      const hashing = new HashingSink({ sink, hash }, descriptor);
      for (const chunk of chunks) {
        await hashing.write(chunk);
        chunk.fill(0); // the memory is used again
      }
      const before = Buffer.concat(received);
      const error: unknown = await hashing.finish().catch((thrown: unknown) => thrown);
      return { before, after: Buffer.concat(received), error };
    } finally {
      thread.stop();
    }
  }

  it('sends the last bytes when the digest is right', async () => {
    const chunks = [content.subarray(0, 400), content.subarray(400)].map((it) => Buffer.from(it));
    const { before, after, error } = await send(...chunks);
    assert.ok(before.equals(content.subarray(0, 400)));
    assert.ok(after.equals(content));
    assert.equal(error, undefined);
  });

  it('does not send them when it is wrong', async () => {
    const { after, error } = await send(Buffer.from(content.subarray(0, 400)), Buffer.alloc(600));
    assert.ok(after.equals(content.subarray(0, 400)));
    assert.equal((error as { reason?: string }).reason, 'digest');
  });
});
