import { Worker } from 'node:worker_threads';

import type { FileState } from '../store/file-state.ts';
import type { HashedFile } from './file-hash.ts';

/** A thread without work is ended after so many milliseconds: it takes some 5 MiB. */
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
 * Hashes files one after the other beside the event loop, the smallest first. The thread is started when there
 * is something to do and ended soon after.
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

  /** Whether the thread is there at present. */
  get isUp(): boolean {
    return this.#worker !== undefined;
  }

  /**
   * @param size bytes, as far as is known
   * @throws Error with the system's `code`, `ENOENT` for instance
   */
  hash(path: string, algorithm: string, size: number): Promise<HashedFile> {
    const settle = Promise.withResolvers<HashedFile>();
    const place = this.#jobs.findIndex((job) => job.size > size);
    this.#jobs.splice(place < 0 ? this.#jobs.length : place, 0, { path, algorithm, size, settle });
    this.#next();
    return settle.promise;
  }

  /** Ends the thread; what has not been hashed yet fails. */
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
      lost(new Error('The thread that hashes has ended'));
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
 * What the thread does. It is handed over as text, so that it needs no file of its own beside the bundle: it
 * may refer to nothing outside itself.
 */
function work(): void {
  const fs = process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  const buffer = Buffer.allocUnsafeSlow(1024 * 1024);

  const look = (fd: number): FileState => {
    const { ino, size, mtimeNs, ctimeNs } = fs.fstatSync(fd, { bigint: true });
    return { ino, size, mtimeNs, ctimeNs };
  };
  const hashFile = (path: string, algorithm: string): HashedFile => {
    const fd = fs.openSync(path, 'r');
    try {
      const before = look(fd);
      const hash = createHash(algorithm);
      for (let done = 0; ;) {
        const bytes = fs.readSync(fd, buffer, 0, buffer.length, done);
        if (bytes === 0) break;
        hash.update(buffer.subarray(0, bytes));
        done += bytes;
      }
      return { hex: hash.digest('hex'), before, after: look(fd) };
    } finally {
      fs.closeSync(fd);
    }
  };
  parentPort?.on('message', ({ path, algorithm }: { path: string; algorithm: string }) => {
    try {
      parentPort.postMessage(hashFile(path, algorithm));
    } catch (error) {
      // Not by a function from elsewhere: the thread has the text of this one alone.
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'EUNKNOWN';
      parentPort.postMessage({ code });
    }
  });
}
