import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type * as koffi from 'koffi';

/** What `koffi` offers, as far as it is used. */
type Koffi = Pick<typeof koffi, 'load' | 'errno'>;

/** A C function through koffi; `async` calls it on libuv's thread pool. */
export interface ForeignFunction {
  (...args: unknown[]): number;
  async: (...args: unknown[]) => void;
}

/** The C library that this process has loaded. */
export interface OpenLibc {
  /**
   * @param definition of a function, in C
   * @throws Error when there is no such function
   */
  readonly find: (definition: string) => ForeignFunction;
  /** Of the last call that failed in this thread. */
  readonly errno: () => number;
}

/** Where scripts/build puts koffi's binary: beside the bundle, where there is no node_modules. */
const BUNDLED = join(import.meta.dirname, 'koffi.node');

/** @throws Error when koffi cannot be loaded here */
export function openLibc(): OpenLibc {
  const library = createRequire(import.meta.url)(existsSync(BUNDLED) ? BUNDLED : 'koffi') as Koffi;
  const libc = library.load(null);
  return {
    find: (definition) => libc.func(definition) as ForeignFunction,
    errno: () => library.errno(),
  };
}
