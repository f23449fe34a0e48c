import { openLibc } from './foreign.ts';

/**
 * Gives the memory that was freed back to the system: what V8's collector frees beside its heap, the C library
 * would keep for later. Takes some milliseconds. Without effect where the C library is not GNU's.
 */
export function giveFreedMemoryBack(): void {
  try {
    openLibc().find('int malloc_trim(size_t padding)')(0);
  } catch {
    // Musl has no such function, other platforms have no koffi: the memory of a process is then what it was.
  }
}
