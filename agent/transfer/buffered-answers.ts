import type { Content } from '../content/content-source.ts';
import { destroyQuietly } from '../streams/destroy-quietly.ts';
import type { ExtendableTimeout } from '../timing/extendable-timeout.ts';
import type { PeerAttempts } from './select/peer-attempts.ts';
import type { PeerStream } from './select/peer-race.ts';
import { MemoryBusyError } from './verify/memory-budget.ts';
import { SMALL_BYTES } from './verify/verified-buffer.ts';
import { allowedMs } from './verify/verify-body.ts';

/**
 * Time from the request to the first byte while a body is buffered, in milliseconds, whatever the number of peers. A
 * body that is allowed more by its size, see {@link allowedMs}, gets that.
 */
const MAX_FIRST_BYTE_MS = 10_000;

/**
 * A buffered body that arrives more slowly than this, in bytes a second, is late: another peer is asked beside it. Where bodies
 * of all peers are slower at present, half of their rate counts: a second body would only share the link with the first.
 */
const LATE_RATE = 4 * 1024 * 1024;

/** Bodies that are buffered at once for one request: large ones, and those of {@link SMALL_BYTES} at most. */
const MAX_LARGE = 3;
const MAX_SMALL = 16;

/** What a delivery reports while its content is buffered. */
export interface Arrival {
  /** Ends this delivery: another one was faster, or the time is over. */
  readonly signal: AbortSignal;
  /** The content is going to be buffered: there is more time for the first byte until the delivery ends. */
  readonly isBuffered: (size: number) => void;
  /** Its body begins to arrive; from now on it may be late. */
  readonly begins: (size: number) => void;
}

/** Makes content of an answer. */
export type MakeContent = (stream: PeerStream, arrival: Arrival) => Promise<Content>;

/** What {@link BufferedAnswers} use. */
export interface BufferedAnswersComponents {
  /** Knows when a peer is late, and learns which peers broke off. */
  readonly attempts: Pick<PeerAttempts, 'broke' | 'hedged' | 'lateAfter' | 'typicalRate'>;
  readonly deliver: MakeContent;
  /** The time for the first byte. */
  readonly timeout: ExtendableTimeout;
  /** Called when something has changed. */
  readonly onNews: () => void;
}

interface BufferedAnswer {
  readonly stream: PeerStream;
  readonly cancel: AbortController;
  /** Whether it began beside a late one. */
  readonly isHedge: boolean;
  size: number;
  isLate: boolean;
}

/**
 * The answers to one request that are being made content, at the same time where one is late: a peer that drips must not
 * keep out the ones that deliver. The first content counts, and the others are ended.
 */
export class BufferedAnswers implements Disposable {
  readonly #components: BufferedAnswersComponents;
  readonly #signal: AbortSignal;
  readonly #running = new Set<BufferedAnswer>();
  #first: Content | undefined;
  #hedges = 0;
  #failures = 0;
  #lacksMemory = false;
  #isOver = false;

  /** @param signal ends everything */
  constructor(components: BufferedAnswersComponents, signal: AbortSignal) {
    this.#components = components;
    this.#signal = signal;
  }

  /** The first content that was delivered. */
  get content(): Content | undefined {
    return this.#first;
  }

  get isEmpty(): boolean {
    return this.#running.size === 0;
  }

  /** Answers that have failed to become content. */
  get failures(): number {
    return this.#failures;
  }

  /** Whether a delivery found no memory for its content. */
  get lacksMemory(): boolean {
    return this.#lacksMemory;
  }

  /** Whether another answer is wanted: there is none yet, or all are late. */
  get wantsMore(): boolean {
    if (this.#first !== undefined || this.#lacksMemory) return false;
    const running = [...this.#running];
    const max = running.some(({ size }) => size > SMALL_BYTES) ? MAX_LARGE : MAX_SMALL;
    return running.length < max && running.every(({ isLate }) => isLate);
  }

  /** Begins to make content of an answer. */
  begin(stream: PeerStream): void {
    if (this.#isOver) {
      destroyQuietly(stream.response.body);
      return;
    }
    const isHedge = this.#running.size > 0;
    const delivery = { stream, cancel: new AbortController(), isHedge, size: 0, isLate: false };
    if (isHedge) this.#hedges += 1;
    this.#running.add(delivery);
    void this.#run(delivery);
  }

  /** Ends all that is still running. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const delivery of this.#running) this.#drop(delivery);
    this.#running.clear();
  }

  /** Never rejects. */
  async #run(delivery: BufferedAnswer): Promise<void> {
    const { attempts, deliver, timeout, onNews } = this.#components;
    const { stream, cancel } = delivery;
    using ends = new DisposableStack();
    const signal = AbortSignal.any([this.#signal, timeout.signal, cancel.signal]);
    const isBuffered = (size: number): void => {
      delivery.size = size;
      ends.use(timeout.extendTo(longestWait(timeout.milliseconds, size)));
    };
    const begins = (size: number): void => {
      const rate = Math.min(LATE_RATE, (attempts.typicalRate ?? Infinity) / 2);
      const lateAfter = attempts.lateAfter('GET') + (size / rate) * 1000;
      const timer = setTimeout(() => {
        delivery.isLate = true;
        onNews();
      }, lateAfter);
      ends.defer(() => {
        clearTimeout(timer);
      });
    };
    try {
      const content = await deliver(stream, { signal, isBuffered, begins });
      if (this.#isOver || this.#first !== undefined) discard(content);
      else this.#finished(content, delivery);
    } catch (error) {
      if (this.#signal.aborted || cancel.signal.aborted) return;
      // Memory is the business of this node: the peer did nothing wrong.
      this.#failures += 1;
      if (error instanceof MemoryBusyError) this.#lacksMemory = true;
      else attempts.broke(stream.provider, error);
    } finally {
      this.#running.delete(delivery);
      onNews();
    }
  }

  #finished(content: Content, delivery: BufferedAnswer): void {
    const { attempts } = this.#components;
    this.#first = content;
    if (this.#hedges > 0) attempts.hedged(delivery.isHedge ? 'won' : 'lost');
    this.#running.delete(delivery);
    for (const other of this.#running) this.#drop(other);
  }

  #drop({ cancel, stream }: BufferedAnswer): void {
    cancel.abort();
    destroyQuietly(stream.response.body);
  }
}

/**
 * How long a request may wait for its first byte while a body of this size is buffered, in milliseconds: 3.5 s for a
 * small one, 10 s for one of 4 MiB.
 *
 * @param search the time without a buffered body, in milliseconds
 */
export function longestWait(search: number, size: number): number {
  const arrival = allowedMs(size);
  return Math.max(search, arrival, Math.min(search + arrival, MAX_FIRST_BYTE_MS));
}

/** Gives up content that came too late. */
function discard(content: Content): void {
  if (content.kind === 'whole') content.reservation?.[Symbol.dispose]();
}
