/**
 * A content digest in canonical form, `<algorithm>:<lower-case hex>`. Only {@link parseDigest} makes one.
 *
 * @see OCI image specification, descriptor.md, "Digests"
 */
export type Digest = string & { readonly __brand: 'Digest' };

/** Registered algorithms of the OCI image specification and the length of their encoded part. */
const HEX_LENGTH: Record<string, number> = { sha256: 64, sha512: 128 };

const DIGEST = /^([a-z0-9]+):([a-f0-9]+)$/;

/** The digest, or `undefined` when `text` is not a well-formed digest of a registered algorithm. */
export function parseDigest(text: string): Digest | undefined {
  const match = DIGEST.exec(text);
  if (match === null) return undefined;
  const [, algorithm = '', hex = ''] = match;
  return HEX_LENGTH[algorithm] === hex.length ? (text as Digest) : undefined;
}

/** The algorithm part, as `node:crypto` names it. */
export function digestAlgorithm(digest: Digest): string {
  return digest.slice(0, digest.indexOf(':'));
}

/** The encoded part, which is the file name of a blob in a content store. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}
