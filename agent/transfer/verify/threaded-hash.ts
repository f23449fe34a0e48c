import type { Pipe } from '../../native/pipes.ts';
import type { Tap } from '../../native/tap.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../../oci/digest.ts';
import { PeerError } from '../client/peer-error.ts';
import type { Answer } from './hashing-program.ts';
import type { HashingThread, Line } from './hashing-thread.ts';
import { MAX_RANGES, type DeliveredShares, type Share } from './shares.ts';

/** What came of a body that was hashed to its end. */
interface Result {
  readonly hex: string;
  /** Digests of the shares. */
  readonly shares: readonly string[];
}

/**
 * The hash of one whole body, made by a {@link HashingThread} beside the way of the bytes. The bytes come in order: from
 * memory by {@link update}, or in the kernel by {@link tap}. The hash has seen exactly the bytes that the client gets, so
 * that it goes on when another peer continues the body. To be disposed of.
 */
export class ThreadedHash implements Disposable {
  readonly #descriptor: Descriptor;
  readonly #line: Line;
  readonly #passed = new Int32Array(new SharedArrayBuffer(4));
  readonly #failing = new AbortController();
  /** What the thread is going to answer, in order. */
  readonly #awaited: (() => void)[] = [];
  readonly #pipes = new Set<Pipe>();
  readonly #shares: Share[] = [];
  readonly #result = Promise.withResolvers<Result>();
  #position = 0;
  #open: { readonly peerId: string; readonly start: number } | undefined;
  #digests: readonly string[] = [];
  #isAsked = false;

  constructor({ thread }: { readonly thread: HashingThread }, descriptor: Descriptor) {
    this.#descriptor = descriptor;
    this.#line = thread.open({
      answered: (answer) => {
        this.#answered(answer);
      },
      lost: (error) => {
        this.#lost(error);
      },
    });
    this.#result.promise.catch(() => undefined); // it also fails when no caller waits for it
    const algorithm = digestAlgorithm(descriptor.digest);
    this.#line.tell({ kind: 'begin', algorithm, passed: this.#passed });
  }

  /** Aborted when the bytes cannot be hashed any more. */
  get failing(): AbortSignal {
    return this.#failing.signal;
  }

  /** Number of bytes that the hash has seen or is about to see. */
  get position(): number {
    return this.#position;
  }

  /** What was hashed of single peers; complete with the result. See {@link deliverer}. */
  get delivered(): DeliveredShares {
    return { shares: this.#shares, digests: this.#digests };
  }

  /**
   * Tells who sends the next bytes.
   *
   * @param peerId a peer whose bytes are to be hashed on their own too; `undefined` for others
   */
  deliverer(peerId: string | undefined): void {
    if (peerId === undefined && this.#open === undefined) return;
    this.#closeShare();
    const isWanted = peerId !== undefined && this.#shares.length < MAX_RANGES;
    this.#line.tell({ kind: 'share', isWanted });
    this.#open = isWanted ? { peerId, start: this.#position } : undefined;
  }

  /** Hashes these bytes. Resolves when that is done, or cannot be done. The bytes may be used again at once. */
  update(bytes: Uint8Array): Promise<void> {
    this.#position += bytes.length;
    const copy = new Uint8Array(bytes);
    this.#line.tell({ kind: 'bytes', bytes: copy }, [copy.buffer]);
    return this.#answer();
  }

  /**
   * Hashes the next bytes from a pipe.
   *
   * @param length number of bytes that are to come this way
   */
  tap(length: number): Tap {
    const isEnd = this.#position + length === this.#descriptor.size;
    let pipe: Pipe | undefined;
    return {
      begin: (it) => {
        pipe = it;
        this.#pipes.add(it);
        this.#line.tell({ kind: 'pipe', fd: it.readEnd });
      },
      passed: (bytes) => {
        this.#position += bytes;
        Atomics.add(this.#passed, 0, bytes);
        this.#line.wake();
      },
      end: () => {
        this.#line.tell({ kind: 'pipe-end', passed: this.#count });
        void this.#answer().then(() => {
          if (pipe !== undefined) this.#release(pipe);
        });
      },
      ...(isEnd && { release: () => this.verify() }),
    };
  }

  /**
   * Resolves when all bytes are hashed and match their digest.
   *
   * @throws PeerError `digest`; Error when the thread has failed
   */
  async verify(): Promise<void> {
    if (!this.#isAsked) {
      this.#isAsked = true;
      this.#closeShare();
      this.#line.tell({ kind: 'digest', passed: this.#count });
    }
    const { hex, shares } = await this.#result.promise;
    this.#digests = shares;
    if (hex === digestHex(this.#descriptor.digest)) return;
    throw new PeerError('digest', 'bytes do not match their digest');
  }

  /** Forgets the body. Its pipe is closed when the thread does not read it any more. */
  [Symbol.dispose](): void {
    this.#line.tell({ kind: 'drop' });
  }

  get #count(): number {
    return Atomics.load(this.#passed, 0);
  }

  #answer(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#awaited.push(() => {
      resolve(undefined);
    });
    return promise;
  }

  #answered(answer: Answer): void {
    switch (answer.kind) {
      case 'taken':
        this.#awaited.shift()?.();
        break;
      case 'digest':
        this.#result.resolve(answer);
        break;
      case 'dropped':
        this.#end(new Error('The body is not hashed any more'));
        break;
      case 'failed':
        this.#lost(new Error(`A body cannot be hashed: ${answer.message}`));
    }
  }

  #lost(error: unknown): void {
    this.#end(error);
    this.#failing.abort(error);
  }

  #end(error: unknown): void {
    this.#line.close();
    this.#result.reject(error);
    for (const resolve of this.#awaited.splice(0)) resolve();
    for (const pipe of this.#pipes) this.#release(pipe);
  }

  #release(pipe: Pipe): void {
    if (this.#pipes.delete(pipe)) pipe[Symbol.dispose]();
  }

  #closeShare(): void {
    if (this.#open === undefined) return;
    const { peerId, start } = this.#open;
    this.#open = undefined;
    this.#shares.push({ peerId, range: { start, end: this.#position - 1 } });
  }
}
