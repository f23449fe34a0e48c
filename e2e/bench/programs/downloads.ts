/**
 * Runs clients that all download one blob for some seconds, as cheaply as possible:
 * `node downloads.ts '{"url": ..., "clients": 64, "seconds": 4}'`. Prints one line of JSON, a {@link Downloaded}.
 */
import { connect } from 'node:net';

import type { Downloaded, Downloads } from '../support/load.ts';
import { PART } from '../support/part.ts';

const READ_BYTES = 1 << 20;
/** How often a slow client reads its share, in milliseconds. */
const SIP_MS = 100;

const options = JSON.parse(process.argv[2] ?? '') as Downloads;
const { hostname, port, pathname, search } = new URL(options.url);
const { clients, seconds, bytesPerSecond } = options;
const sipBytes =
  bytesPerSecond === undefined ? Infinity : Math.ceil((bytesPerSecond * SIP_MS) / 1000);
/** One buffer for all clients, because the bytes are not used. */
const buffer = Buffer.alloc(Math.min(READ_BYTES, sipBytes));
const statuses: Record<string, number> = {};
let bytes = 0;
const served = new Set<number>();

const started = performance.now();
for (let client = 0; client < clients; client++) download(client);
setTimeout(() => {
  const taken = (performance.now() - started) / 1000;
  const result: Downloaded = { bytes, seconds: taken, statuses, servedClients: served.size };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => {
    process.exit(0);
  });
}, seconds * 1000);

/** Not an HTTP client: its work would be taken from the processors of those who are measured. */
function download(client: number): void {
  let sip = 0;
  let begun = false;
  const socket = connect({
    host: hostname,
    port: Number(port),
    onread: {
      buffer,
      callback: (count) => {
        if (!begun) {
          begun = true;
          const status = /^HTTP\/1\.1 (\d+)/.exec(buffer.toString('latin1', 0, 16))?.[1] ?? 'none';
          statuses[status] = (statuses[status] ?? 0) + 1;
          if (status.startsWith('2')) served.add(client);
        }
        bytes += count;
        sip += count;
        if (sip < sipBytes) return true;
        sip = 0;
        setTimeout(() => socket.resume(), SIP_MS);
        return false;
      },
    },
  });
  socket.write(
    `GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n${PART}\r\nConnection: close\r\n\r\n`,
  );
  socket.once('error', () => {
    statuses['error'] = (statuses['error'] ?? 0) + 1;
  });
  socket.once('close', () => {
    // One that is refused at once must not make a storm of it.
    setTimeout(
      () => {
        download(client);
      },
      begun ? 0 : SIP_MS,
    );
  });
}
