import type { Logger } from 'pino';

import { Kernel } from './kernel.ts';
import { Libc } from './libc.ts';

/** How the bytes of large blobs are to go: through the kernel where that is possible, or always as streams. */
export type DataPlaneMode = 'auto' | 'stream';

/** Which way they go at present. */
export type DataPlanePath = 'kernel' | 'stream';

/** What a {@link DataPlane} works with. */
export interface DataPlaneComponents {
  readonly logger: Logger;
  /** Loads the library; throws when it cannot. */
  readonly load?: () => Libc;
}

/**
 * Gives the kernel's way of moving bytes, if there is one. The library behind it is loaded at the first use, since it
 * costs 27 ms and 6 MiB; when it cannot be, that is logged once, and everything goes as streams.
 */
export class DataPlane {
  readonly #logger: Logger;
  readonly #load: () => Libc;
  #kernel: Kernel | 'not yet' | undefined;

  constructor({ logger, load }: DataPlaneComponents, mode: DataPlaneMode = 'auto') {
    this.#logger = logger;
    this.#load = load ?? (() => new Libc());
    this.#kernel = mode === 'auto' && process.platform === 'linux' ? 'not yet' : undefined;
  }

  /** Until the first use of the kernel's way it is assumed to be there. */
  get path(): DataPlanePath {
    return this.#kernel === undefined ? 'stream' : 'kernel';
  }

  /** The kernel's way; `undefined` when there is none. */
  kernel(): Kernel | undefined {
    if (this.#kernel === 'not yet') {
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
