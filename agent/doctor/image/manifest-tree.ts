import type { Digest } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { isManifestType } from '../../oci/media-type.ts';
import { at } from '../json.ts';

/** A descriptor of an image, as far as the report needs it. */
export interface ImageDescriptor {
  readonly kind: 'index' | 'manifest' | 'config' | 'layer';
  readonly digest: Digest;
  /** In bytes; absent for a root that could not be read. */
  readonly size?: number;
}

/** The descriptors of an image for this platform. */
export interface ImageTree {
  readonly descriptors: readonly ImageDescriptor[];
  /** Number of manifests in the index that are for other platforms. */
  readonly otherPlatforms: number;
  /** Manifests that could not be read. */
  readonly unread: readonly Digest[];
}

/** Architectures of the OCI image specification by those of Node. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Collects the descriptors that this node would pull. Of an index it follows the manifests for this platform, or all
 * manifests when none is for it.
 *
 * @param read returns the bytes of a manifest, or undefined
 * @throws ManifestError when the bytes are no manifest
 */
export async function readImageTree(
  root: Digest,
  read: (digest: Digest) => Promise<Uint8Array | undefined>,
): Promise<ImageTree> {
  const bytes = await read(root);
  if (bytes === undefined) {
    return { descriptors: [{ kind: 'manifest', digest: root }], otherPlatforms: 0, unread: [root] };
  }
  const { children } = parseManifest(bytes);
  const manifests = children.filter(({ mediaType }) => isManifestType(mediaType));
  if (manifests.length === 0)
    return { descriptors: descriptorsOf(root, bytes), otherPlatforms: 0, unread: [] };

  const ours = new Set(digestsForThisPlatform(bytes));
  const chosen = ours.size === 0 ? manifests : manifests.filter(({ digest }) => ours.has(digest));
  const descriptors: ImageDescriptor[] = [{ kind: 'index', digest: root, size: bytes.length }];
  const unread: Digest[] = [];
  for (const { digest, size } of chosen) {
    const manifest = await read(digest);
    if (manifest === undefined) {
      descriptors.push({ kind: 'manifest', digest, size });
      unread.push(digest);
    } else descriptors.push(...descriptorsOf(digest, manifest));
  }
  return { descriptors, otherPlatforms: manifests.length - chosen.length, unread };
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
  ].filter(({ digest: each }) => {
    // A manifest may list a layer several times.
    const isNew = !known.has(each);
    known.add(each);
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
