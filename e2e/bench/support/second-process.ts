import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { bundleAgent } from '../../../scripts/bundle.ts';
import { runDirectory } from '../../harness/run.ts';

/** What the process has loaded, see `programs/parser.ts`. */
export const KINDS = ['nothing', 'http', 'parsers'] as const;
export type Kind = (typeof KINDS)[number];

/** Bytes of a request, signed, and of the answer with its length, as `programs/parser.ts` sends it. */
const REQUEST = Buffer.alloc(600, 'r');
const ANSWER_BYTES = 704;

/** A process beside the agent, to which messages are passed one after another. */
export class SecondProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  #answered: () => void = () => undefined;
  #bytes = 0;

  private constructor(child: ChildProcess, socket: Socket) {
    this.#child = child;
    this.#socket = socket;
    child.on('message', () => {
      this.#answered();
    });
    socket.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes < ANSWER_BYTES) return;
      this.#bytes = 0;
      this.#answered();
    });
  }

  /** @param program the result of {@link bundleParser} */
  static async start(program: string, kind: Kind): Promise<SecondProcess> {
    const path = join(runDirectory(), `${kind}-${performance.now()}.sock`);
    const env = { ...process.env, MALLOC_ARENA_MAX: '1', NODE_ENV: 'production' };
    const child = fork(program, [kind, path], { env, execArgv: ['--semi-space-growth-factor=1'] });
    await once(child, 'message');
    const socket = connect(path);
    await once(socket, 'connect');
    return new SecondProcess(child, socket);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  byChannel(): Promise<void> {
    return new Promise((resolve) => {
      this.#answered = resolve;
      this.#child.send({ head: REQUEST.toString('latin1') });
    });
  }

  bySocket(): Promise<void> {
    return new Promise((resolve) => {
      this.#answered = resolve;
      const head = Buffer.alloc(4);
      head.writeUInt32BE(REQUEST.length);
      this.#socket.write(Buffer.concat([head, REQUEST]));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#socket.destroy();
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** Makes a bundle of the program as the agent has one: the sources would be compiled in each process. */
export async function bundleParser(): Promise<string> {
  const outfile = join(runDirectory(), 'parser.mjs');
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const entry = fileURLToPath(new URL('../programs/parser.ts', import.meta.url));
  await bundleAgent({ root, outfile, entry, companions: false });
  return outfile;
}
