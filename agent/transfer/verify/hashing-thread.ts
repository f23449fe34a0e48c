import { Worker } from 'node:worker_threads';

/** Milliseconds after which a thread without work is ended. */
const IDLE_MS = 2_000;

/** What the thread is told about a body. It is done in order, except for `drop`. */
export type Command =
  | {
      readonly kind: 'begin';
      readonly algorithm: string;
      /** Counts the bytes that may be read from the pipes of the body: 32 bits, from 0 on after the largest number. */
      readonly passed: Int32Array<SharedArrayBuffer>;
    }
  /** Reads bytes from this pipe, as far as they have passed. */
  | { readonly kind: 'pipe'; readonly fd: number }
  /** Reads the pipe until the count is this, and no further. */
  | { readonly kind: 'pipe-end'; readonly passed: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Ends a share whose bytes are hashed on their own too, and begins the next if that is wanted. */
  | { readonly kind: 'share'; readonly isWanted: boolean }
  /** Ends the hash once the count is this. */
  | { readonly kind: 'digest'; readonly passed: number }
  /** Forgets the body, at once. */
  | { readonly kind: 'drop' };

/** Answers to `pipe-end`, `bytes`, `digest` and `drop`, in order. */
export type Answer =
  | { readonly kind: 'taken' }
  | { readonly kind: 'digest'; readonly hex: string; readonly shares: readonly string[] }
  | { readonly kind: 'dropped' }
  /** A pipe cannot be read. */
  | { readonly kind: 'failed'; readonly message: string };

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

type Addressed<T> = T & { readonly body: number };

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
    const worker = new Worker(`(${work.toString()})()`, {
      eval: true,
      name: 'body-hash',
      execArgv: [],
      workerData: wakeUps,
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
    });
    worker.unref(); // connections keep the process alive
    worker.on('message', ({ body, ...answer }: Addressed<Answer>) => {
      this.#bodies.get(body)?.answered(answer as Answer);
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

/**
 * The program of the thread. It is passed as text, so that the bundle stays one file. Therefore it must not refer to
 * anything outside itself.
 */
function work(): void {
  const fs = process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { parentPort, receiveMessageOnPort, workerData } =
    process.getBuiltinModule('node:worker_threads');
  if (parentPort === null) return;
  const port = parentPort;
  const wakeUps = workerData as Int32Array;
  /** Read at once: fits into the cache of a processor. */
  const buffer = Buffer.allocUnsafeSlow(256 * 1024);

  type Hash = ReturnType<typeof createHash>;
  interface Body {
    readonly id: number;
    readonly algorithm: string;
    readonly hash: Hash;
    readonly passed: Int32Array;
    readonly shares: string[];
    readonly commands: Command[];
    share: Hash | undefined;
    fd: number | undefined;
    read: number;
  }
  const bodies = new Map<number, Body>();

  const answer = (body: Body, what: Answer): void => {
    port.postMessage({ ...what, body: body.id });
  };
  const update = (body: Body, bytes: Uint8Array): void => {
    body.hash.update(bytes);
    body.share?.update(bytes);
  };
  const endShare = (body: Body): void => {
    if (body.share !== undefined) body.shares.push(body.share.digest('hex'));
    body.share = undefined;
  };
  const receive = ({ body: id, ...command }: Addressed<Command>): void => {
    if (command.kind === 'begin') {
      const { algorithm, passed } = command;
      const hash = createHash(algorithm);
      const empty = { shares: [], commands: [], share: undefined, fd: undefined, read: 0 };
      bodies.set(id, { id, algorithm, hash, passed, ...empty });
      return;
    }
    const body = bodies.get(id);
    if (command.kind !== 'drop') {
      body?.commands.push(command as Command);
      return;
    }
    bodies.delete(id);
    if (body !== undefined) answer(body, { kind: 'dropped' });
  };
  /** Does what the next command says. Returns whether it is done. */
  const obey = (body: Body, command: Command): boolean => {
    switch (command.kind) {
      case 'pipe':
        body.fd = command.fd;
        break;
      case 'pipe-end':
        if (body.read !== command.passed) return false;
        body.fd = undefined;
        answer(body, { kind: 'taken' });
        break;
      case 'bytes':
        update(body, command.bytes);
        answer(body, { kind: 'taken' });
        break;
      case 'share':
        endShare(body);
        if (command.isWanted) body.share = createHash(body.algorithm);
        break;
      case 'digest':
        if (body.read !== command.passed) return false;
        endShare(body);
        answer(body, { kind: 'digest', hex: body.hash.digest('hex'), shares: body.shares });
        break;
      default:
        break;
    }
    return true;
  };
  /** Reads what has passed, a buffer at most. Returns whether there was something. */
  const readPipe = (body: Body): boolean => {
    const ready = (Atomics.load(body.passed, 0) - body.read) | 0;
    if (body.fd === undefined || ready <= 0) return false;
    const count = fs.readSync(body.fd, buffer, 0, Math.min(buffer.length, ready), null);
    update(body, buffer.subarray(0, count));
    body.read = (body.read + count) | 0;
    return count > 0;
  };
  const advance = (body: Body): boolean => {
    let hasWorked = false;
    try {
      for (let command; (command = body.commands[0]) !== undefined && obey(body, command);) {
        body.commands.shift();
        hasWorked = true;
      }
      return readPipe(body) || hasWorked;
    } catch (error) {
      bodies.delete(body.id);
      answer(body, { kind: 'failed', message: String(error) });
      return true;
    }
  };
  for (;;) {
    const seen = Atomics.load(wakeUps, 0);
    for (let it; (it = receiveMessageOnPort(port)) !== undefined;) {
      receive(it.message as Addressed<Command>);
    }
    let hasWorked = false;
    for (const body of bodies.values()) hasWorked = advance(body) || hasWorked;
    if (!hasWorked) Atomics.wait(wakeUps, 0, seen);
  }
}
