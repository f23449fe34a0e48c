/** Wakes one waiting task. A call while no task waits is remembered; several count as one. */
export class Wakeup {
  #called = false;
  #resolve: (() => void) | undefined;

  /** Wakes the waiting task, or the next one to wait. */
  call(): void {
    this.#called = true;
    this.#resolve?.();
  }

  /** Resolves once called, or when `signal` is aborted; never rejects. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#called && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const wake = () => {
        resolve(undefined);
      };
      this.#resolve = wake;
      signal.addEventListener('abort', wake, { once: true });
      await promise;
      this.#resolve = undefined;
      signal.removeEventListener('abort', wake);
    }
    this.#called = false;
  }
}
