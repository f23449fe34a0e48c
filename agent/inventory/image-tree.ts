import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from '../oci/manifest.ts';
import { isManifestType } from '../oci/media-type.ts';
import type { ContentStore } from '../store/content-store.ts';
import { BlobTooLargeError, readBlob } from '../store/read-blob.ts';

/** Maximum number of digests of one image. Real multi-platform indexes stay below 2,000. */
const MAX_TREE_SIZE = 20_000;

/** Every digest that an image consists of, held or not. */
export interface ImageTree {
  readonly digests: ReadonlySet<Digest>;
  /** Manifests that are not held yet. When one of them arrives, the tree must be walked again. */
  readonly missing: ReadonlySet<Digest>;
  /** Manifests that are held but cannot be parsed, with the reason. */
  readonly broken: ReadonlyMap<Digest, string>;
}

/**
 * Walks an image from its root through the manifests that the store holds.
 *
 * A node usually holds one platform of an index: the manifests of the others are in `missing`. A broken
 * manifest ends its own branch only.
 *
 * @throws StoreUnavailableError when the store becomes unavailable
 */
export async function walkImage(
  store: Pick<ContentStore, 'open'>,
  root: Descriptor,
  signal?: AbortSignal,
): Promise<ImageTree> {
  const digests = new Set<Digest>([root.digest]);
  const missing = new Set<Digest>();
  const broken = new Map<Digest, string>();

  // The root is read whatever media type its record has: old records have wrong ones.
  const manifests: Digest[] = [root.digest];
  for (let digest = manifests.pop(); digest !== undefined; digest = manifests.pop()) {
    let children: readonly Descriptor[];
    try {
      const bytes = await readManifest(store, digest, signal);
      if (bytes === undefined) {
        missing.add(digest);
        continue;
      }
      ({ children } = parseManifest(bytes));
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      broken.set(digest, error.message);
      continue;
    }
    for (const child of children) {
      if (digests.has(child.digest)) continue;
      if (digests.size >= MAX_TREE_SIZE) {
        broken.set(root.digest, `more than ${MAX_TREE_SIZE} digests`);
        return { digests, missing, broken };
      }
      digests.add(child.digest);
      if (isManifestType(child.mediaType)) manifests.push(child.digest);
    }
  }
  return { digests, missing, broken };
}

/**
 * Reads a whole manifest; undefined when the store does not hold it.
 *
 * @throws ManifestError when it is larger than a manifest may be
 */
async function readManifest(
  store: Pick<ContentStore, 'open'>,
  digest: Digest,
  signal?: AbortSignal,
): Promise<Buffer | undefined> {
  await using blob = await store.open(digest, signal);
  if (blob === undefined) return undefined;
  try {
    return await readBlob(blob, MAX_MANIFEST_BYTES, signal);
  } catch (error) {
    if (error instanceof BlobTooLargeError) throw new ManifestError(error.message);
    throw error;
  }
}
