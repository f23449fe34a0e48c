/**
 * The model that `ProvideQueue` is compared with: a key is in any of five sets. It is plain and wasteful, and does one
 * step at a time. A retry is a step of its own.
 */
export class ProvideModel {
  readonly provided = new Set<string>();
  readonly surplus = new Set<string>();
  readonly toProvide = new Set<string>();
  readonly toWithdraw = new Set<string>();
  sending = new Set<string>();
  /** Keys of the withdrawal that is under way. */
  withdrawing: readonly string[] | undefined;
  isStopped = false;
  #isSending = false;
  #awaitsRetry = false;
  #withdrawAttempts = 0;

  /** The exchange that is under way: its kind and its keys. */
  get exchange(): string | undefined {
    if (this.#isSending) return `provide ${[...this.sending].sort().join()}`;
    if (this.withdrawing !== undefined) return `withdraw ${[...this.withdrawing].sort().join()}`;
    return undefined;
  }

  assign(key: string): void {
    this.toWithdraw.delete(key);
    this.surplus.delete(key);
    if (!this.provided.has(key) && !this.sending.has(key)) this.toProvide.add(key);
  }

  retract(key: string): void {
    this.toProvide.delete(key);
    const provided = this.provided.delete(key);
    const surplus = this.surplus.delete(key);
    if (provided || surplus || this.sending.has(key)) this.toWithdraw.add(key);
  }

  release(key: string): void {
    this.toProvide.delete(key);
    if (this.provided.delete(key)) this.surplus.add(key);
  }

  refresh(): void {
    // An exchange that is under way may carry what is out of date: its keys are sent again, as those that the peer has.
    for (const key of this.sending) {
      if (!this.toWithdraw.has(key) && !this.surplus.has(key)) this.provided.add(key);
    }
    this.surplus.clear();
    for (const key of this.provided) this.toProvide.add(key);
  }

  /** Begins the next exchange, if there is anything to do and nothing in the way. */
  run(): void {
    if (this.exchange !== undefined || this.#awaitsRetry || this.isStopped) return;
    if (this.toWithdraw.size > 0) {
      this.withdrawing = [...this.toWithdraw];
      this.#withdrawAttempts++;
    } else if (this.toProvide.size > 0) {
      this.sending = new Set(this.toProvide);
      this.toProvide.clear();
      this.#isSending = true;
    }
  }

  succeed(): void {
    if (this.#isSending) {
      for (const key of this.sending) if (!this.toWithdraw.has(key)) this.provided.add(key);
      this.#endSending();
    } else this.#endWithdrawal();
    this.run();
  }

  /** @param maxWithdrawAttempts after so many failures a withdrawal counts as done */
  fail(maxWithdrawAttempts: number): void {
    if (this.#isSending) this.#failSending();
    else if (this.#withdrawAttempts < maxWithdrawAttempts) this.withdrawing = undefined;
    else {
      this.#endWithdrawal();
      this.run();
      return;
    }
    this.#awaitsRetry = true;
  }

  retry(): void {
    if (!this.#awaitsRetry) return;
    this.#awaitsRetry = false;
    this.run();
  }

  /** Ends the exchange: it fails, without a retry. */
  stop(): void {
    this.isStopped = true;
    this.#awaitsRetry = false;
    if (this.#isSending) this.#failSending();
    this.withdrawing = undefined;
  }

  resume(): void {
    this.isStopped = false;
    this.#withdrawAttempts = 0;
    this.refresh();
  }

  #failSending(): void {
    for (const key of this.sending) if (!this.toWithdraw.has(key)) this.toProvide.add(key);
    this.#endSending();
  }

  #endSending(): void {
    this.sending = new Set();
    this.#isSending = false;
  }

  #endWithdrawal(): void {
    this.#withdrawAttempts = 0;
    for (const key of this.withdrawing ?? []) this.toWithdraw.delete(key);
    this.withdrawing = undefined;
  }
}
