import { setMaxListeners } from 'node:events';

/**
 * A signal that aborts after a time, or when its parent does. Unlike `AbortSignal.any` with `AbortSignal.timeout` it
 * leaves nothing behind once it is disposed of: no timer, and no reference from a long-lived parent.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #parent: AbortSignal | undefined;
  readonly #onAbort = (): void => {
    this.#controller.abort(this.#parent?.reason);
  };

  /** @param milliseconds after which the signal aborts with a `TimeoutError` */
  constructor(milliseconds: number, parent?: AbortSignal) {
    setMaxListeners(0, this.#controller.signal);
    this.#parent = parent;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new DOMException('timed out', 'TimeoutError'));
    }, milliseconds);
    if (parent?.aborted === true) this.#onAbort();
    else parent?.addEventListener('abort', this.#onAbort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener('abort', this.#onAbort);
  }
}
