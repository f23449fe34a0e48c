import type { Descriptor } from '../../oci/descriptor.ts';
import { ManifestError, parseManifest, type Manifest } from '../../oci/manifest.ts';
import { isIndexType } from '../../oci/media-type.ts';
import { PeerError } from '../client/peer-error.ts';

/**
 * Parses a manifest, and compares the media type that the peer stated for it with the bytes, which are right.
 *
 * @param bytes match the digest of the descriptor
 * @returns `undefined` for what this node cannot parse, which it leaves to the client
 * @throws PeerError `protocol` for an index that is stated to be an image manifest, or the other way round
 */
export function parsePeerManifest(
  bytes: Uint8Array,
  { mediaType }: Pick<Descriptor, 'mediaType'>,
): Manifest | undefined {
  let manifest: Manifest;
  try {
    manifest = parseManifest(bytes);
  } catch (error) {
    if (error instanceof ManifestError) return undefined;
    throw error;
  }
  if (isIndexType(manifest.mediaType) !== isIndexType(mediaType)) {
    throw new PeerError('protocol', 'another media type than the content has');
  }
  return manifest;
}
