/** A command to the thread about one body. Commands are run in order, except for `drop`, which is run at once. */
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

/** A command or an answer, with the number of the body that it is about. */
export type Addressed<T> = T & { readonly body: number };

/**
 * The program of the thread. It is passed as text, so that the bundle stays one file. Therefore it must not refer to
 * anything outside itself.
 */
export function hashBodies(): void {
  const fs = process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const threads = process.getBuiltinModule('node:worker_threads');
  const { parentPort, receiveMessageOnPort } = threads;
  if (parentPort === null) return;
  const port = parentPort;
  const wakeUps = threads.workerData as Int32Array;
  /** Large reads empty the pipe, so that the next copy into it is large too. */
  const buffer = Buffer.allocUnsafeSlow(1024 * 1024);

  type Received = { readonly message: Addressed<Command> } | undefined;
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
      body?.commands.push(command);
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
      case 'begin':
      case 'drop':
        break; // They are done when they are received.
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
    for (let it; (it = receiveMessageOnPort(port) as Received) !== undefined;) {
      receive(it.message);
    }
    let hasWorked = false;
    for (const body of bodies.values()) hasWorked = advance(body) || hasWorked;
    if (!hasWorked) Atomics.wait(wakeUps, 0, seen);
  }
}
