import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** A call to a {@link Program}. */
export interface Question {
  readonly id: number;
  readonly what: string;
  readonly argument: unknown;
}

/** The answer to a {@link Question}: one of the two. */
export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** A helper of the bench in its own process, so that its CPU can be measured apart; see `programs/serve.ts`. */
export class Program implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #next = 0;

  /** @param namespace network namespace to run in; default: the one of the bench */
  constructor(url: URL, namespace?: string) {
    const env = { ...process.env, NODE_ENV: 'production' };
    // nsenter replaces itself by Node.js, and keeps the channel open.
    const execArgv =
      namespace === undefined ? [] : [`--net=/run/netns/${namespace}`, '--', process.execPath];
    this.#process = fork(url, {
      env,
      execArgv,
      ...(namespace !== undefined && { execPath: 'nsenter' }),
    });
    this.#process.on('message', (message) => {
      const { id, result, error } = message as Answer;
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(`${url.pathname}: ${error}`));
    });
    this.#process.once('exit', (code) => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`${url.pathname} ended with ${String(code)}`));
      }
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Has the program do something; rejects with its error. */
  async ask(what: string, argument?: unknown): Promise<unknown> {
    const id = this.#next++;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#process.send({ id, what, argument } satisfies Question);
    return await waiting.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#waiting.clear();
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
