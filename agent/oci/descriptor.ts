import type { Digest } from './digest.ts';

/**
 * Identifies content by its digest, with its type and length.
 *
 * @see OCI image specification, descriptor.md
 */
export interface Descriptor {
  /** Media type; `application/octet-stream` where nothing better is known. */
  readonly mediaType: string;
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
}
