import type { Logger } from 'pino';

import { Kernel } from './kernel.ts';
import { Libc } from './libc.ts';

/** How to send large blobs. `auto`: by sendfile and splice where possible. `stream`: always through the process. */
export type DataPlaneMode = 'auto' | 'stream';

/** How large blobs are sent at present. `kernel`: by sendfile and splice. */
export type DataPlanePath = 'kernel' | 'stream';

/** The log, and how to load the C library. */
export interface DataPlaneComponents {
  readonly logger: Logger;
  /** Loads the C library. Default: a new {@link Libc}. Throws when that is not possible. */
  readonly load?: () => Libc;
}

/**
 * Provides sendfile and splice, where they can be called. The library for it is loaded at the first use, since it takes
 * 27 ms and 6 MiB. If that fails, one line is logged, and all blobs go as streams.
 */
export class DataPlane {
  readonly #logger: Logger;
  readonly #load: () => Libc;
  #kernel: Kernel | 'not-loaded' | undefined;

  constructor({ logger, load }: DataPlaneComponents, mode: DataPlaneMode = 'auto') {
    this.#logger = logger;
    this.#load = load ?? (() => new Libc());
    this.#kernel = mode === 'auto' && process.platform === 'linux' ? 'not-loaded' : undefined;
  }

  /** How large blobs are sent. Before the first use the kernel's way is assumed to work. */
  get path(): DataPlanePath {
    return this.#kernel === undefined ? 'stream' : 'kernel';
  }

  /** Sendfile and splice; `undefined` when they cannot be called. */
  kernel(): Kernel | undefined {
    if (this.#kernel === 'not-loaded') {
      try {
        this.#kernel = new Kernel(this.#load());
      } catch (error) {
        this.#kernel = undefined;
        this.#logger.warn({ err: error }, 'sendfile cannot be called: large blobs go as streams');
      }
    }
    return this.#kernel;
  }
}
