import { Worker } from 'node:worker_threads';

import { hashBodies, type Addressed, type Answer, type Command } from './hashing-program.ts';

/** Milliseconds after which a thread without work is ended. */
const IDLE_MS = 2_000;

/** Bytes of a body for which the thread is started: that takes 25 ms of CPU, which hashing beside saves in 40 MiB. */
const MIN_START_BYTES = 32 * 1024 * 1024;

/** Gets what the thread has to say about one body. */
export interface Listener {
  answered(answer: Answer): void;
  /** The thread has ended. */
  lost(error: unknown): void;
}

/** Sends commands about one body. */
export interface Line {
  tell(command: Command, transfer?: readonly ArrayBuffer[]): void;
  /** Wakes the thread after bytes have passed. */
  wake(): void;
  /** No more commands come. */
  close(): void;
}

/**
 * A thread that hashes bodies while they go to their clients. It reads a copy of each from a pipe, only as many bytes as
 * are there: so a slow body delays no other. It starts with the first body, and ends after {@link IDLE_MS} without one.
 */
export class HashingThread {
  readonly #idleMs: number;
  readonly #bodies = new Map<number, Listener>();
  #next = 0;
  #worker: Worker | undefined;
  #wakeUps = new Int32Array(new SharedArrayBuffer(4));
  #idle: NodeJS.Timeout | undefined;

  /** @param idleMs default {@link IDLE_MS} */
  constructor(idleMs = IDLE_MS) {
    this.#idleMs = idleMs;
  }

  /** Whether the thread runs. */
  get isUp(): boolean {
    return this.#worker !== undefined;
  }

  /** Whether the thread should hash a body of this size: it runs already, or is worth its start. */
  isWorthwhile(size: number): boolean {
    return this.isUp || size >= MIN_START_BYTES;
  }

  /** Begins a body. */
  open(listener: Listener): Line {
    clearTimeout(this.#idle);
    const worker = (this.#worker ??= this.#start());
    const body = this.#next++;
    this.#bodies.set(body, listener);
    const wakeUps = this.#wakeUps;
    const wake = (): void => {
      Atomics.add(wakeUps, 0, 1);
      Atomics.notify(wakeUps, 0);
    };
    return {
      wake,
      tell: (command, transfer = []) => {
        worker.postMessage({ ...command, body } satisfies Addressed<Command>, transfer);
        wake();
      },
      close: () => {
        this.#bodies.delete(body);
        if (this.#bodies.size === 0) this.#endLater();
      },
    };
  }

  /** Ends the thread. Bodies that are not hashed yet fail. */
  stop(): void {
    clearTimeout(this.#idle);
    void this.#worker?.terminate();
  }

  #endLater(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      const worker = this.#worker;
      this.#worker = undefined;
      void worker?.terminate();
    }, this.#idleMs).unref();
  }

  #start(): Worker {
    const wakeUps = new Int32Array(new SharedArrayBuffer(4));
    this.#wakeUps = wakeUps;
    const worker = new Worker(`(${hashBodies.toString()})()`, {
      eval: true,
      name: 'body-hash',
      execArgv: [],
      workerData: wakeUps,
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
    });
    worker.unref(); // connections keep the process alive
    worker.on('message', ({ body, ...answer }: Addressed<Answer>) => {
      this.#bodies.get(body)?.answered(answer);
    });
    const lost = (error: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const listener of [...this.#bodies.values()]) listener.lost(error);
    };
    worker.on('error', lost);
    worker.on('exit', () => {
      lost(new Error('The hashing thread has ended'));
    });
    return worker;
  }
}
