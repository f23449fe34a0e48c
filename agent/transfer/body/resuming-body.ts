import type { MovedChunk } from '../../native/splice.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { WrongBodyError } from '../../streams/wrong-body-error.ts';
import { Backoff } from '../../timing/backoff.ts';
import { ExtendableTimeout } from '../../timing/extendable-timeout.ts';
import { rangeOf } from '../../oci/content-request.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import type { Provider } from '../../routing/router.ts';
import type { TransferRecord } from '../verify/transfer-record.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { PeerAttempts } from '../select/peer-attempts.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError, toPeerError } from '../client/peer-error.ts';
import { PeerRace, type PeerStream } from '../select/peer-race.ts';
import { ParentWatch } from './parent-watch.ts';
import { RateWindow } from './rate-window.ts';
import { StallMeter } from './stall-meter.ts';

/** No peer is left that could deliver the rest of a body. */
class BodyBrokenError extends Error {
  override readonly name = 'BodyBrokenError';
  readonly code = 'ERR_BODY_BROKEN';
}

/** Searches in a row for a peer that delivers the rest, without a byte of progress in between. */
const MAX_FRUITLESS_SEARCHES = 4;

/** Waits between these searches, in milliseconds: about a second in all. */
const RESUME_BACKOFF = { first: 100, max: 800 };

/** Time for a faster peer to begin, while the present one is not read, in milliseconds. */
const SWITCH_MS = 2_000;

/** A part of a body: its bytes, or the number of bytes that the kernel has moved to the client. */
export type BodyChunk = Uint8Array | MovedChunk;

/** Takes the body of an answer, chunk by chunk. */
export type ReadBody<T extends BodyChunk> = (response: PeerResponse) => AsyncIterable<T>;

/** How the stream of one peer ended. */
type StreamEnd =
  /** The client has all bytes that it asked for. */
  | 'complete'
  /** The peer delivered all bytes that it was asked for. The client asked for more. */
  | 'end-of-range'
  /** The peer failed before the end of what it was asked for. */
  | 'broken'
  /** The same, and the peer says that its bytes are wrong. */
  | 'wrong'
  /** Another peer is clearly faster than this one with its rate in bytes a second, and has begun to answer. */
  | { readonly faster: PeerStream; readonly rate: number };

/** What a {@link ResumingBody} needs. */
export interface ResumingBodyComponents {
  /** Chooses the next peer, and learns how the last one ended. */
  readonly attempts: PeerAttempts;
  /** Learns which peers deliver, and which bytes have been forwarded. */
  readonly record: TransferRecord;
  readonly metrics: Pick<Metrics, 'peerBytes' | 'resumes'>;
  /** The rate that all bodies from peers share. Absent: no limit. */
  readonly download?: Bandwidth | undefined;
}

/** What a {@link ResumingBody} delivers. */
export interface ResumingBodyInit<T extends BodyChunk> {
  /** The peer that has begun to answer. */
  readonly first: PeerStream;
  readonly read: ReadBody<T>;
}

/**
 * Yields exactly the bytes that the client asked for. Where a peer fails, delivers the end of a range that was only a
 * part of them, or is slow beside another one, the next peer continues at the exact next byte. A search that finds no
 * peer, or a peer that fails without a byte of progress, is followed by a wait and another search, a bounded number of
 * times. To be read once.
 */
export class ResumingBody<T extends BodyChunk> implements AsyncIterable<T> {
  readonly #components: ResumingBodyComponents;
  readonly #init: ResumingBodyInit<T>;
  readonly #signal: AbortSignal;
  /** The bytes that the client asked for. */
  readonly #range: ByteRange;
  readonly #backoff = new Backoff(RESUME_BACKOFF);
  #fruitlessSearches = 0;
  /** The next byte to deliver. */
  #position: number;

  /** @param signal ends the body: aborted when the client leaves */
  constructor(components: ResumingBodyComponents, init: ResumingBodyInit<T>, signal: AbortSignal) {
    this.#components = components;
    this.#init = init;
    this.#signal = signal;
    this.#range = rangeOf(components.attempts.request, init.first.response.descriptor);
    this.#position = this.#range.start;
  }

  /** @throws BodyBrokenError when no peer is left; WrongBodyError when a peer says that its bytes are wrong; the signal's reason when that is aborted */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    const { attempts, record, metrics } = this.#components;
    let stream = this.#init.first;
    for (;;) {
      const start = this.#position;
      const end = yield* this.#deliver(stream);
      if (end === 'complete') return;
      if (end === 'wrong') {
        record.sentWrong();
        throw new WrongBodyError('the peer says that its bytes are wrong');
      }
      if (typeof end === 'object') {
        // Only now: its whole body, which counted last, may have been faster.
        attempts.switching.left(stream.provider, end.rate);
        metrics.resumes.inc({ result: 'switched' });
        stream = end.faster;
        continue;
      }
      if (end === 'end-of-range') {
        await attempts.chunks.rangeEnded(this.#signal);
        this.#signal.throwIfAborted();
      }
      if (this.#position > start) {
        this.#fruitlessSearches = 0;
        this.#backoff.reset();
      }
      const next = await this.#findNext();
      if (next === undefined) {
        metrics.resumes.inc({ result: 'broken' });
        const { size } = this.#init.first.response.descriptor;
        throw new BodyBrokenError(`no peer left at byte ${this.#position} of ${size}`);
      }
      if (end === 'broken') metrics.resumes.inc({ result: 'resumed' });
      // One that is named again is the right one, and waits for its own parent.
      const isAnother = next.provider.peerId !== stream.provider.peerId;
      if (isAnother && this.#position > this.#range.start) next.response.silence?.goesOn();
      stream = next;
    }
  }

  /** Yields what one peer delivers. */
  async *#deliver({ provider, response }: PeerStream): AsyncGenerator<T, StreamEnd> {
    const { attempts, record, metrics, download } = this.#components;
    const start = this.#position;
    const { end } = response.range;
    record.deliveredBy(provider);
    const meter = new StallMeter();
    const pace = new RateWindow();
    using watch = this.#watch({ provider, response });
    let isCut = false;
    try {
      for await (const chunk of this.#init.read(response)) {
        if (this.#position + chunk.length > end + 1) {
          throw new PeerError('protocol', 'more bytes than declared');
        }
        if (this.#position === start) attempts.begins();
        this.#position += chunk.length;
        metrics.peerBytes.inc({ direction: 'received' }, chunk.length);
        watch?.arrived();
        const waited = meter.arrived(chunk.length, 'waited' in chunk ? chunk.waited : undefined);
        pace.arrived(chunk.length, waited);
        await download?.take(chunk.length, this.#signal);
        yield chunk;
        const stall = meter.check();
        if (stall !== undefined && this.#position <= end) {
          attempts.trickled();
          const { bytes, milliseconds } = stall;
          throw new PeerError('timeout', `${bytes} bytes in ${Math.round(milliseconds)} ms`);
        }
        const rate = attempts.follows ? undefined : pace.take();
        if (rate !== undefined) {
          const faster = await this.#findFaster(provider, rate);
          if (faster !== undefined) return { faster, rate };
          pace.lengthen();
        }
        meter.wait();
        watch?.wait();
      }
      if (this.#position <= end) throw new PeerError('body', 'body ended early');
    } catch (error) {
      this.#signal.throwIfAborted();
      // A failure after the last byte that was asked for costs nothing.
      if (this.#position <= end) attempts.broke(provider, error, this.#position > start);
      isCut = this.#position > start && toPeerError(error, 'body').reason === 'body';
    } finally {
      record.forwarded({ start, end: this.#position - 1 }, provider);
      response.body.destroy();
      attempts.delivered(provider, this.#position - start, meter.totalMs);
    }
    if (this.#position === this.#range.end + 1) return 'complete';
    const mayBeWrong = attempts.follows && isCut && this.#position <= end;
    if (mayBeWrong && (await attempts.parents.sentWrong(provider, this.#signal))) return 'wrong';
    return this.#position > end ? 'end-of-range' : 'broken';
  }

  /** Watches a peer that is followed; disposed of, which ends its questions, when the body of this peer has ended. */
  #watch({ provider, response: { silence } }: PeerStream): ParentWatch | undefined {
    const { attempts } = this.#components;
    if (!attempts.follows || silence === undefined) return undefined;
    const isThere = (): Promise<boolean> => attempts.parents.isThere(provider, this.#signal);
    return new ParentWatch({ isThere, silence });
  }

  /**
   * Searches for a peer that is clearly faster than the present one, which is kept meanwhile.
   *
   * @param rate of the present peer, in bytes a second
   */
  async #findFaster(provider: Provider, rate: number): Promise<PeerStream | undefined> {
    const { attempts } = this.#components;
    const { switching } = attempts;
    const left = this.#range.end + 1 - this.#position;
    if (!switching.isWorthwhile(rate, left)) return undefined;
    // One that did not begin in time may be there now.
    attempts.forgive();
    using search = new DisposableStack();
    search.use(switching.searchFaster(provider, rate));
    const isLate = (): PeerError => new PeerError('timeout', 'did not begin in time');
    const within = search.use(new ExtendableTimeout(SWITCH_MS, isLate));
    return await this.#searchOnce(AbortSignal.any([this.#signal, within.signal]));
  }

  /** Searches for a peer that delivers the rest, again after a while where there is none. */
  async #findNext(): Promise<PeerStream | undefined> {
    const { attempts } = this.#components;
    while (this.#fruitlessSearches < MAX_FRUITLESS_SEARCHES && !attempts.exhausted) {
      const isRepeated = this.#fruitlessSearches > 0;
      if (isRepeated) await this.#backoff.wait(this.#signal);
      // Where the flow has stopped, a parent is silent because its own is: it is the right one when it is named again.
      if (isRepeated || attempts.follows) attempts.forgive();
      this.#signal.throwIfAborted();
      this.#fruitlessSearches += 1;
      const next = await this.#searchOnce();
      if (next !== undefined) return next;
      if (attempts.isOver) return undefined;
    }
    return undefined;
  }

  /** Looks the providers up again: peers that got the content since the body began are found too. */
  async #searchOnce(inTime = this.#signal): Promise<PeerStream | undefined> {
    const { attempts } = this.#components;
    const { descriptor } = this.#init.first.response;
    const rest = { start: this.#position, end: this.#range.end };
    const range = attempts.chunks.nextRange(rest);
    const request = { ...attempts.request, digest: descriptor.digest, range };
    using race = new PeerRace(attempts, request, this.#signal, inTime);
    for (;;) {
      const result = await race.next();
      this.#signal.throwIfAborted();
      if (result.kind !== 'peer-stream') return undefined;
      const { provider, response } = result;
      if (response.descriptor.size === descriptor.size) return result;
      response.body.destroy();
      attempts.broke(provider, new PeerError('protocol', 'another size than the peer before'));
    }
  }
}
