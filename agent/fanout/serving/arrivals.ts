import type { ByteRange } from '../../oci/byte-range.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest, IngestProgress } from '../../store/ingests.ts';
import { waitForCommit } from './committed.ts';
import type { TailChunk } from './tail/tail.ts';
import type { TailReader } from './tail/tails.ts';

/** Where {@link Arrivals} come from. */
export interface ArrivalsComponents {
  readonly ingest: Ingest & { readonly total: number };
  /** Knows whether a download that was removed has been committed. */
  readonly store: Pick<ContentStore, 'stat'>;
  /** What this node has forwarded to its client, and its client has not written yet. Absent: only what it has written. */
  readonly tail?: TailReader | undefined;
}

/** A part of the content that is there: in the file of the download, or in memory. */
export type Arrival = ByteRange | TailChunk;

/**
 * The parts of a range of a download, in their order, each when it is there. A byte comes from the tail where that has it,
 * and else from the file: so a slow reader, which is behind the tail, reads the file. To be read once.
 *
 * It fails when the download is given up or begins anew, and goes on when it is committed.
 */
export class Arrivals implements AsyncIterable<Arrival> {
  readonly #components: ArrivalsComponents;
  readonly #range: ByteRange;
  readonly #signal: AbortSignal;
  #isWaiting = false;
  #waits = 0;
  #isCommitted = false;
  #isTailChecked = false;
  /** Resolves when the file has more bytes than at a time before. */
  #written: Promise<IngestProgress> | undefined;

  /** @param signal ends the waits */
  constructor(components: ArrivalsComponents, range: ByteRange, signal: AbortSignal) {
    this.#components = components;
    this.#range = range;
    this.#signal = signal;
  }

  /** Whether bytes are waited for. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** How often they have been waited for. */
  get waits(): number {
    return this.#waits;
  }

  /** @throws Error when the rest does not come; the signal's reason when that is aborted */
  async *[Symbol.asyncIterator](): AsyncGenerator<Arrival, void, undefined> {
    const { tail } = this.#components;
    const { end } = this.#range;
    const ended = new AbortController();
    const signal = AbortSignal.any([this.#signal, ended.signal]);
    try {
      for (let { start } = this.#range; start <= end;) {
        this.#signal.throwIfAborted();
        const chunk = tail?.read(start, end + 1);
        if (chunk !== undefined) {
          start += chunk.bytes.length;
          yield chunk;
          continue;
        }
        if (tail?.isOver === true) await this.#checkHas(start);
        const offset = await this.#waitForMore(start, signal);
        if (offset <= start) continue;
        const part = { start, end: Math.min(offset - 1, end) };
        yield part;
        start = part.end + 1;
      }
    } finally {
      ended.abort(new Error('The body has ended'));
    }
  }

  /** @returns bytes that the file has; not more than `offset` when the tail has changed */
  async #waitForMore(offset: number, signal: AbortSignal): Promise<number> {
    this.#waits += 1;
    this.#isWaiting = true;
    const { ingest, tail } = this.#components;
    try {
      // A wait for the file costs more than bytes of the tail: one goes on while these come.
      this.#written ??= ingest.waitForMore(offset, signal);
      this.#written.catch(() => undefined);
      const more = tail === undefined ? [this.#written] : [this.#written, tail.change()];
      const progress = await Promise.race(more);
      if (progress === undefined) return 0;
      this.#written = undefined;
      return await this.#checked(progress, offset);
    } finally {
      this.#isWaiting = false;
    }
  }

  /**
   * @throws Error when bytes of the tail have been sent that the file has not got, though the tail has ended: they may be
   *   others than those that it is going to have
   */
  async #checkHas(offset: number): Promise<void> {
    if (this.#isTailChecked) return;
    this.#isTailChecked = true;
    const progress = await this.#components.ingest.progress();
    if (progress.offset < offset) throw new Error('The download has begun anew');
  }

  async #checked({ offset, state }: IngestProgress, start: number): Promise<number> {
    // The tail may still have bytes of a download that is whole or removed.
    if (state === 'removed') await this.#checkCommitted(offset);
    if (offset <= start && state !== 'arriving') {
      throw new Error('The download has fewer bytes than its size');
    }
    return offset;
  }

  /** @throws Error when the download was given up: what is there may be wrong, and the rest does not come */
  async #checkCommitted(offset: number): Promise<void> {
    if (this.#isCommitted) return;
    const { ingest, store } = this.#components;
    this.#isCommitted =
      offset === ingest.total && (await waitForCommit(store, ingest, this.#signal));
    if (!this.#isCommitted) throw new Error('The download was given up');
  }
}
