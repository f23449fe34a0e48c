import { readFileSync } from 'node:fs';

import type { Libc } from './libc.ts';

/**
 * Pages that the pipes of all processes of one user may have, 0 for no limit. Root without capabilities counts as such a
 * user, on the whole node. Beyond the limit new pipes have two pages, of every process of that user.
 */
const LIMIT_FILE = '/proc/sys/fs/pipe-user-pages-soft';

/** The limit of Linux unless it is changed, in pages. Taken also when there is no limit. */
const DEFAULT_PAGES = 16_384;

/** Bytes of a page: those of the smallest pages that Linux has. */
const PAGE_BYTES = 4 * 1024;

/** This process takes the limit divided by this at most, and leaves the rest to other processes of its user. */
const SHARE = 4;

/** Bytes of all pipes at most, whatever the limit is. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Bytes of a pipe, each up to a part of the budget: the first bodies have large pipes, which take the fewest calls. There
 * are 200 pipes in 16 MiB: each further body is a stream, and takes some 2 MiB of this process. With less
 * than the last, bytes move more slowly than as a stream.
 */
const SIZES = [
  { bytes: 1024 * 1024, upTo: 1 / 8 },
  { bytes: 256 * 1024, upTo: 1 / 4 },
  { bytes: 64 * 1024, upTo: 1 },
] as const;

/** A pipe cannot be had: the budget is spent, or the kernel refuses one of the needed size. Bytes go as a stream then. */
export class PipesSpentError extends Error {
  override readonly name = 'PipesSpentError';
  readonly code = 'ERR_PIPES_SPENT';
}

/** A pipe that does not block. Disposing of it closes both ends. */
export interface Pipe extends Disposable {
  readonly readEnd: number;
  readonly writeEnd: number;
}

export interface PipesComponents {
  readonly libc: Libc;
}

/** The budget of {@link Pipes}. */
export interface PipesInit {
  /** Bytes of all pipes at once. Default: {@link pipeBytes}. */
  readonly bytes?: number;
}

/** Makes the pipes of this process, within a budget of memory. */
export class Pipes {
  readonly #libc: Libc;
  readonly #bytes: number;
  #taken = 0;

  constructor({ libc }: PipesComponents, { bytes = pipeBytes() }: PipesInit = {}) {
    this.#libc = libc;
    this.#bytes = bytes;
  }

  /**
   * @param share part of the budget: when all pipes together have taken it, this call fails; default 1
   * @throws PipesSpentError; Error when there are too many descriptors
   */
  open(share = 1): Pipe {
    const wanted = SIZES.find(
      ({ bytes, upTo }) => this.#taken + bytes <= this.#bytes * Math.min(upTo, share),
    )?.bytes;
    if (wanted === undefined) throw new PipesSpentError('enough pipes are open');
    const { readEnd, writeEnd, capacity } = this.#libc.pipe(wanted);
    const close = (): void => {
      this.#libc.close(readEnd);
      this.#libc.close(writeEnd);
    };
    if (capacity < wanted) {
      close(); // Other processes need what the user of this process has left.
      throw new PipesSpentError(`a pipe has ${capacity} bytes, not ${wanted}`);
    }
    this.#taken += wanted;
    return {
      readEnd,
      writeEnd,
      [Symbol.dispose]: () => {
        close();
        this.#taken -= wanted;
      },
    };
  }
}

/** Bytes that the pipes of this process may have. */
export function pipeBytes(limitFile: string = LIMIT_FILE): number {
  const pages = readPages(limitFile);
  return Math.min(MAX_BYTES, ((pages > 0 ? pages : DEFAULT_PAGES) * PAGE_BYTES) / SHARE);
}

function readPages(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'latin1'), 10) || 0;
  } catch {
    return 0; // Without /proc nothing is known.
  }
}
