/**
 * `node connections-main.ts COUNT PEER-ADDRESS PORT WORDS`: keeps so many TCP connections open with the port, sends the
 * words on each (JSON), and says nothing more; one that is ended is opened again. Prints `open` when each was tried once.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const AGAIN_MS = 200;

const [count, host = '', port, words = '""'] = process.argv.slice(2);
const bytes = JSON.parse(words) as string;

await Promise.all(Array.from({ length: Number(count) }, open));
process.stdout.write('open\n');

/** Resolves when the first attempt has an end, good or bad. */
function open(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => {
      socket.write(bytes, 'latin1');
      resolve();
    });
    socket.on('error', () => undefined).resume();
    socket.on('close', () => {
      resolve();
      void sleep(AGAIN_MS).then(open);
    });
  });
}
