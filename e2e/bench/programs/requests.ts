/**
 * Sends small requests over open connections for some seconds, each after the answer to the one before:
 * `node requests.ts '{"url": ..., "connections": 32, "seconds": 4}'`. Prints one line of JSON, an {@link Answered}.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

import { RANDOM_DIGEST, type Answered, type Requests } from '../support/load.ts';
import { quantile } from '../support/samples.ts';

const END_OF_HEAD = '\r\n\r\n';

const options = JSON.parse(process.argv[2] ?? '') as Requests;
const { connections, seconds, warmUpSeconds = 0.5, pauseMs = 0, method = 'GET' } = options;
const { hostname, port } = new URL(options.url);
const path = options.url.slice(options.url.indexOf('/', 'http://'.length));
const rest =
  `Host: ${hostname}:${port}\r\n` +
  `Accept: ${options.accept ?? '*/*'}\r\nConnection: keep-alive\r\n\r\n`;

const statuses: Record<string, number> = {};
const times: number[] = [];
const begin = performance.now() + warmUpSeconds * 1000;
const end = begin + seconds * 1000;

/** As much of an HTTP client as this takes: answers have a `Content-Length`. */
class Connection {
  ended = false;
  readonly #socket: Socket;
  #waiting: ((status: string) => void) | undefined;
  #received = '';
  #status = '';
  /** Bytes of the body that are still to come; negative while the head is. */
  #left = -1;

  constructor() {
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.on('data', (chunk) => {
      this.#take(chunk);
    });
    this.#socket.once('error', () => undefined);
    this.#socket.once('close', () => {
      this.ended = true;
      this.#answer('broken');
    });
  }

  ask(text: string): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#socket.write(text);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    let body = chunk.length;
    if (this.#left < 0) {
      this.#received += chunk.toString('latin1');
      const at = this.#received.indexOf(END_OF_HEAD);
      if (at < 0) return;
      const head = this.#received.slice(0, at);
      body = this.#received.length - at - END_OF_HEAD.length;
      this.#status = head.slice(9, 12);
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      this.#left = method === 'HEAD' ? 0 : length;
      if (/\r\nconnection: *close/i.test(head)) this.ended = true;
    }
    this.#left -= body;
    if (this.#left > 0) return;
    this.#left = -1;
    this.#received = '';
    this.#answer(this.#status);
  }

  #answer(status: string): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(status);
  }
}

await Promise.all(Array.from({ length: connections }, work));
const result: Answered = {
  count: times.length,
  perSecond: times.length / seconds,
  statuses,
  p50: quantile(times, 0.5),
  p99: quantile(times, 0.99),
  max: quantile(times, 1),
};
process.stdout.write(`${JSON.stringify(result)}\n`);

async function work(): Promise<void> {
  let connection = new Connection();
  while (performance.now() < end) {
    const target = path.replace(RANDOM_DIGEST, () => `sha256:${randomBytes(32).toString('hex')}`);
    const sent = performance.now();
    const status = await connection.ask(`${method} ${target} HTTP/1.1\r\n${rest}`);
    const now = performance.now();
    if (sent >= begin && now <= end) {
      times.push(now - sent);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
    if (connection.ended) connection = new Connection();
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  connection.close();
}
