/**
 * Downloads one thing again and again and throws it away, as cheaply as possible: a client that takes all it can get.
 */
import { connect } from 'node:net';

import { serve } from './serve.ts';
import { PART } from '../support/part.ts';

let bytes = 0;

serve({
  /** Begins; the mirror's base URL and a path. */
  start: (argument) => {
    const { mirror, path } = argument as { mirror: string; path: string };
    const { hostname, port } = new URL(mirror);
    repeat(hostname, Number(port), path);
  },
  /** Bytes received so far. */
  bytes: () => bytes,
});

/** Not an HTTP client: its work would be taken from the agents' processors. */
function repeat(host: string, port: number, path: string): void {
  const socket = connect({
    host,
    port,
    onread: {
      buffer: Buffer.alloc(1 << 20),
      callback: (count) => {
        bytes += count;
        return true;
      },
    },
  });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${PART}\r\nConnection: close\r\n\r\n`,
  );
  socket.once('error', () => {
    process.exit(1);
  });
  socket.once('close', () => {
    repeat(host, port, path);
  });
}
