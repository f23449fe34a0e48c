import { Worker } from 'node:worker_threads';

import type { FileState } from '../store/file-state.ts';
import type { HashedFile } from './file-hash.ts';

/** Milliseconds after which a thread without work is ended. It takes about 5 MiB. */
const IDLE_MS = 2_000;

type Answer = HashedFile | { readonly code: string };

interface Job {
  readonly path: string;
  readonly algorithm: string;
  /** Bytes: the shortest job goes first. */
  readonly size: number;
  readonly settle: PromiseWithResolvers<HashedFile>;
}

/**
 * Hashes files in a thread, one at a time, the smallest first. The thread starts with the first file and ends
 * after {@link IDLE_MS} without work.
 */
export class HashThread implements AsyncDisposable {
  readonly #jobs: Job[] = [];
  readonly #idleMs: number;
  #worker: Worker | undefined;
  #running: Job | undefined;
  #idle: NodeJS.Timeout | undefined;

  /** @param idleMs default {@link IDLE_MS} */
  constructor(idleMs = IDLE_MS) {
    this.#idleMs = idleMs;
  }

  /** Whether the thread runs. */
  get isUp(): boolean {
    return this.#worker !== undefined;
  }

  /**
   * @param size bytes, by which the order is decided; an estimate will do
   * @throws Error with the system's `code`, `ENOENT` for instance
   */
  hash(path: string, algorithm: string, size: number): Promise<HashedFile> {
    const settle = Promise.withResolvers<HashedFile>();
    const index = this.#jobs.findIndex((job) => job.size > size);
    this.#jobs.splice(index < 0 ? this.#jobs.length : index, 0, { path, algorithm, size, settle });
    this.#next();
    return settle.promise;
  }

  /** Ends the thread. Files that are not hashed yet fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#fail(new Error('Hashing was ended'));
    await worker?.terminate();
  }

  #next(): void {
    if (this.#running !== undefined) return;
    clearTimeout(this.#idle);
    const job = this.#jobs.shift();
    if (job === undefined) {
      this.#idle = setTimeout(() => {
        const worker = this.#worker;
        this.#worker = undefined;
        void worker?.terminate();
      }, this.#idleMs).unref();
      return;
    }
    this.#running = job;
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage({ path: job.path, algorithm: job.algorithm });
  }

  #start(): Worker {
    const worker = new Worker(`(${work.toString()})()`, {
      eval: true,
      name: 'hash',
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
    });
    worker.on('message', (answer: Answer) => {
      worker.unref();
      const job = this.#running;
      this.#running = undefined;
      if ('hex' in answer) job?.settle.resolve(answer);
      else job?.settle.reject(systemError(answer.code, job.path));
      this.#next();
    });
    const lost = (error: unknown): void => {
      if (this.#worker === worker) this.#fail(error);
    };
    worker.on('error', lost);
    worker.on('exit', () => {
      lost(new Error('The hash thread has ended'));
    });
    return worker;
  }

  #fail(error: unknown): void {
    this.#worker = undefined;
    const jobs = this.#running === undefined ? this.#jobs : [this.#running, ...this.#jobs];
    this.#running = undefined;
    for (const { settle } of jobs.splice(0)) settle.reject(error);
    this.#jobs.length = 0;
  }
}

function systemError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/**
 * The program of the thread. It is passed as text, so that the bundle stays one file. Therefore it must not
 * refer to anything outside itself.
 */
function work(): void {
  const fs = process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  const buffer = Buffer.allocUnsafeSlow(1024 * 1024);

  const stateOf = (fd: number): FileState => {
    const { ino, size, mtimeNs, ctimeNs } = fs.fstatSync(fd, { bigint: true });
    return { ino, size, mtimeNs, ctimeNs };
  };
  const hashFile = (path: string, algorithm: string): HashedFile => {
    const fd = fs.openSync(path, 'r');
    try {
      const before = stateOf(fd);
      const hash = createHash(algorithm);
      for (let done = 0; ;) {
        const bytes = fs.readSync(fd, buffer, 0, buffer.length, done);
        if (bytes === 0) break;
        hash.update(buffer.subarray(0, bytes));
        done += bytes;
      }
      return { hex: hash.digest('hex'), before, after: stateOf(fd) };
    } finally {
      fs.closeSync(fd);
    }
  };
  parentPort?.on('message', ({ path, algorithm }: { path: string; algorithm: string }) => {
    try {
      parentPort.postMessage(hashFile(path, algorithm));
    } catch (error) {
      // Without `codeOf`, which the thread does not have.
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'EUNKNOWN';
      parentPort.postMessage({ code });
    }
  });
}
