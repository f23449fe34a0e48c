/**
 * Fetches a blob as containerd from 2.1 on does with `concurrent_layer_fetch_buffer`: each of its streams sends a request
 * for `bytes=N-`, reads one chunk, and closes the connection.
 */
import { connect } from 'node:net';

import { serve } from './serve.ts';

/** What to fetch. */
export interface FetchInit {
  /** Base URL of the mirror. */
  readonly mirror: string;
  readonly path: string;
  readonly size: number;
  readonly chunkBytes: number;
  readonly streams: number;
}

serve({
  /** Fetches all of the blob; the answer is how long that took, in milliseconds. */
  fetch: async (argument) => {
    const init = argument as FetchInit;
    const starts = Array.from(
      { length: Math.ceil(init.size / init.chunkBytes) },
      (_, chunk) => chunk * init.chunkBytes,
    );
    const began = performance.now();
    // The first answer tells containerd the size, and is the first chunk: the other streams begin after it has begun.
    const first = Promise.withResolvers<undefined>();
    const streams = Array.from({ length: init.streams }, async (_, stream) => {
      if (stream > 0) await first.promise;
      for (let start = starts.shift(); start !== undefined; start = starts.shift()) {
        await fetchChunk(init, start, () => {
          first.resolve(undefined);
        });
      }
    });
    await Promise.all(streams);
    return performance.now() - began;
  },
});

function fetchChunk(init: FetchInit, start: number, onHead: () => void): Promise<void> {
  const { mirror, path, size, chunkBytes } = init;
  const { hostname, port } = new URL(mirror);
  const wanted = Math.min(chunkBytes, size - start);
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  let head = '';
  let received = 0;
  const socket = connect({
    host: hostname,
    port: Number(port),
    onread: {
      buffer: Buffer.alloc(64 * 1024),
      callback: (count, buffer) => {
        let bytes = count;
        if (!head.includes('\r\n\r\n')) {
          const before = head.length;
          head += Buffer.from(buffer).toString('latin1', 0, count);
          const end = head.indexOf('\r\n\r\n');
          if (end < 0) return true;
          bytes = before + count - end - 4;
          if (!head.startsWith('HTTP/1.1 206')) reject(new Error(head.slice(0, end)));
          onHead();
        }
        received += bytes;
        if (received < wanted) return true;
        resolve(undefined);
        socket.destroy();
        return false;
      },
    },
  });
  socket.once('error', reject);
  socket.once('close', () => {
    reject(new Error(`closed after ${received} of ${wanted} bytes from ${start}`));
  });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nRange: bytes=${start}-\r\n\r\n`,
  );
  return promise;
}
