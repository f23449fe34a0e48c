import type { BodyTail } from '../../content/tail-writer.ts';

/**
 * Forwards a body for the client of the store, and gives each chunk to the followers of this node before it is forwarded:
 * containerd writes in steps of 1 MiB.
 *
 * @param start offset of its first byte in the content
 */
export async function* fedBody(
  body: AsyncIterable<Uint8Array>,
  tail: BodyTail,
  start: number,
): AsyncGenerator<Uint8Array> {
  let offset = start;
  try {
    for await (const chunk of body) {
      if (tail.isWanted) tail.append(offset, chunk);
      offset += chunk.length;
      yield chunk;
    }
  } finally {
    tail[Symbol.dispose]();
  }
}
