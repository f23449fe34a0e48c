import { openLibc } from './foreign.ts';

/**
 * Returns freed memory to the system: the C library would keep for later what V8's collector frees outside its heap.
 * It takes some milliseconds, and has no effect where the C library is not glibc.
 */
export function trimFreedMemory(): void {
  try {
    openLibc().find('int malloc_trim(size_t padding)')(0);
  } catch {
    // Musl has no such function, and other platforms have no koffi: the process keeps its memory.
  }
}
