import type { Digest } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { isManifestType } from '../../oci/media-type.ts';
import { at } from '../json.ts';

/** A piece of an image. */
export interface ImageDescriptor {
  readonly kind: 'index' | 'manifest' | 'config' | 'layer';
  readonly digest: Digest;
  /** In bytes; of the root it is not known. */
  readonly size?: number;
}

/** What an image consists of, for this platform. */
export interface ImageTree {
  readonly pieces: readonly ImageDescriptor[];
  /** Manifests of an index that are not for this platform. */
  readonly otherPlatforms: number;
  /** Manifests that could not be had. */
  readonly unread: readonly Digest[];
}

/** Names of processors in images, by Node's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Walks from the root to what this node would pull: all of a manifest, of an index the manifests for this platform,
 * or all when none is marked so.
 *
 * @param read gives the bytes of a manifest, or nothing
 * @throws ManifestError for bytes that are none
 */
export async function readImageTree(
  root: Digest,
  read: (digest: Digest) => Promise<Uint8Array | undefined>,
): Promise<ImageTree> {
  const bytes = await read(root);
  if (bytes === undefined) {
    return { pieces: [{ kind: 'manifest', digest: root }], otherPlatforms: 0, unread: [root] };
  }
  const { children } = parseManifest(bytes);
  const manifests = children.filter(({ mediaType }) => isManifestType(mediaType));
  if (manifests.length === 0)
    return { pieces: descriptorsOf(root, bytes), otherPlatforms: 0, unread: [] };

  const ours = new Set(digestsForThisPlatform(bytes));
  const chosen = ours.size === 0 ? manifests : manifests.filter(({ digest }) => ours.has(digest));
  const pieces: ImageDescriptor[] = [{ kind: 'index', digest: root, size: bytes.length }];
  const unread: Digest[] = [];
  for (const { digest, size } of chosen) {
    const manifest = await read(digest);
    if (manifest === undefined) {
      pieces.push({ kind: 'manifest', digest, size });
      unread.push(digest);
    } else pieces.push(...descriptorsOf(digest, manifest));
  }
  return { pieces, otherPlatforms: manifests.length - chosen.length, unread };
}

function descriptorsOf(digest: Digest, bytes: Uint8Array): ImageDescriptor[] {
  const [config, ...layers] = parseManifest(bytes).children;
  const known = new Set<string>();
  return [
    { kind: 'manifest' as const, digest, size: bytes.length },
    ...(config === undefined
      ? []
      : [{ kind: 'config' as const, digest: config.digest, size: config.size }]),
    ...layers.map((layer) => ({ kind: 'layer' as const, digest: layer.digest, size: layer.size })),
  ].filter((piece) => {
    // A layer may be there several times, and one look is enough.
    const isNew = !known.has(piece.digest);
    known.add(piece.digest);
    return isNew;
  });
}

function digestsForThisPlatform(index: Uint8Array): string[] {
  const manifests = at(JSON.parse(Buffer.from(index).toString('utf8')), 'manifests');
  if (!Array.isArray(manifests)) return [];
  return manifests
    .filter((entry: unknown) => at(entry, 'platform', 'os') === 'linux')
    .filter((entry) => at(entry, 'platform', 'architecture') === ARCHITECTURES[process.arch])
    .map((entry) => String(at(entry, 'digest')));
}
