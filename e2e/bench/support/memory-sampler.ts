import { memory, type Memory } from './proc.ts';

const EVERY_MS = 100;

/** Watches the memory of a process from its construction on. */
export class MemorySampler {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peak: Memory = { rss: 0, anonymous: 0 };

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => void this.#look(), EVERY_MS);
  }

  /** Ends the sampling. Returns the maximum of each of the two figures. */
  async stop(): Promise<Memory> {
    clearInterval(this.#timer);
    await this.#look();
    return this.#peak;
  }

  async #look(): Promise<void> {
    const now = await memory(this.#pid);
    this.#peak = {
      rss: Math.max(this.#peak.rss, now.rss),
      anonymous: Math.max(this.#peak.anonymous, now.anonymous),
    };
  }
}
