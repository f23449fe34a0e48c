import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type * as koffi from 'koffi';

/** The part of `koffi` that is used. */
type Koffi = Pick<typeof koffi, 'load' | 'errno'>;

/** A C function, called by koffi; `async` calls it on libuv's thread pool. */
export interface ForeignFunction {
  (...args: unknown[]): number;
  async: (...args: unknown[]) => void;
}

/** The C library that this process has loaded. */
export interface OpenLibc {
  /**
   * Finds a function.
   *
   * @param definition its declaration, in C
   * @throws Error when there is no such function
   */
  readonly find: (definition: string) => ForeignFunction;
  /** The errno of the last call that failed in this thread. */
  readonly errno: () => number;
}

/** Where scripts/build puts koffi's binary: beside the bundle, which has no node_modules. */
const BUNDLED = join(import.meta.dirname, 'koffi.node');

/** The file that koffi is loaded from, in every thread. */
export function koffiFile(): string {
  return existsSync(BUNDLED) ? BUNDLED : createRequire(import.meta.url).resolve('koffi');
}

/**
 * Opens the C library that this process has loaded.
 *
 * @throws Error when koffi cannot be loaded on this platform
 */
export function openLibc(): OpenLibc {
  const library = createRequire(import.meta.url)(koffiFile()) as Koffi;
  const libc = library.load(null);
  return {
    find: (definition) => libc.func(definition) as ForeignFunction,
    errno: () => library.errno(),
  };
}
