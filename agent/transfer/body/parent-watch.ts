import type { Silence } from '../../timing/silence.ts';

/** After so long a silence the peer is asked whether it is there, and again after each further one, in milliseconds. */
const ASK_AFTER_MS = 600;
/** How often it is looked at, in milliseconds. */
const LOOK_MS = 100;

/** What a {@link ParentWatch} uses. */
export interface ParentWatchComponents {
  /** Asks the peer; false when it does not answer in time. Never rejects. */
  readonly isThere: () => Promise<boolean>;
  /** How long the peer may be silent; learns what has come of the question. */
  readonly silence: Pick<Silence, 'answers'>;
}

/**
 * Tells a peer that has stopped from one that waits for bytes itself. When the flow stops somewhere, all below are silent at the same
 * time, and only the first of them has to get another parent.
 *
 * The bytes and the answer come over different connections, so that neither waits for the other. To be disposed of.
 */
export class ParentWatch implements Disposable {
  readonly #components: ParentWatchComponents;
  readonly #timer: NodeJS.Timeout;
  /** Since when bytes are waited for, or were asked about; undefined while they are not waited for. */
  #since: number | undefined = performance.now();
  /** Waits so far: an answer counts for the one that it was asked in. */
  #waits = 0;
  #isAsking = false;

  constructor(components: ParentWatchComponents) {
    this.#components = components;
    this.#timer = setInterval(() => {
      const isSilent = this.#since !== undefined && performance.now() - this.#since >= ASK_AFTER_MS;
      if (isSilent && !this.#isAsking) void this.#ask();
    }, LOOK_MS).unref();
  }

  /** Bytes have come. */
  arrived(): void {
    this.#since = undefined;
    this.#waits += 1;
  }

  /** The next bytes are waited for. */
  wait(): void {
    this.#since = performance.now();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.arrived();
  }

  async #ask(): Promise<void> {
    const { isThere, silence } = this.#components;
    const asked = this.#waits;
    this.#isAsking = true;
    const answer = await isThere();
    this.#isAsking = false;
    if (asked !== this.#waits) return;
    silence.answers(answer);
    this.#since = performance.now();
  }
}
