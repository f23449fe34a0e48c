import { createHash } from 'node:crypto';

/** Bytes of the longest message that is searched for the key: a request, and no answer or list of records. */
const MAX_REQUEST_BYTES = 300;

/**
 * Counts the rounds of one look-up: sequential steps of requests. A request that is sent after the answer to another
 * belongs to the round after that one's. Requests are those that name the key, whatever their protocol.
 */
export class LookupTrace {
  readonly #digest: Buffer;
  readonly #rounds = new Map<object, number>();
  /** New streams, with the round in which each was asked for. */
  readonly #opened = new WeakMap<object, number>();
  #answered = 0;
  #asked = 0;

  /** @param key as callers of the router write it */
  constructor(key: string) {
    this.#digest = createHash('sha256').update(key, 'utf8').digest();
  }

  /** Rounds whose answers have arrived. */
  get rounds(): number {
    return this.#answered;
  }

  /** Requests sent. */
  get requests(): number {
    return this.#asked;
  }

  /** The round of a request that is made now. */
  get next(): number {
    return this.#answered + 1;
  }

  /**
   * Called when a stream was opened for a request. That took time, in which others may have answered.
   *
   * @param round the {@link next} of the moment in which it was asked for
   */
  opened(stream: object, round: number): void {
    this.#opened.set(stream, round);
  }

  /** Called with each write to a stream. */
  sent(stream: object, data: Uint8Array): void {
    if (data.length > MAX_REQUEST_BYTES) return;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    if (!bytes.includes(this.#digest)) return;
    this.#asked += 1;
    this.#rounds.set(stream, this.#opened.get(stream) ?? this.next);
    this.#opened.delete(stream);
  }

  /** Called with each chunk that arrives on a stream. */
  received(stream: object): void {
    const round = this.#rounds.get(stream);
    if (round === undefined) return;
    this.#answered = Math.max(this.#answered, round);
    this.#rounds.delete(stream);
  }
}
