import type { Digest } from './digest.ts';

/**
 * What a registry knows of a piece of content before it is fetched.
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
