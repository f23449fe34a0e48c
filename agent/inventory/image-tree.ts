import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { ManifestError } from '../oci/manifest.ts';
import { isManifestType } from '../oci/media-type.ts';
import type { ContentStore } from '../store/content-store.ts';
import { readManifest } from '../store/read-manifest.ts';

/** Maximum number of digests of one image. Real multi-platform indexes stay below 2,000. */
const MAX_TREE_SIZE = 20_000;

/** Every digest that an image consists of, held or not. */
export interface ImageTree {
  readonly digests: ReadonlySet<Digest>;
  /** Those of them that are manifests or indexes which the store holds, the root first. */
  readonly manifests: ReadonlySet<Digest>;
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
  const manifests = new Set<Digest>();

  // The root is read whatever media type its record has: old records have wrong ones.
  const unread: Digest[] = [root.digest];
  for (let digest = unread.pop(); digest !== undefined; digest = unread.pop()) {
    let children: readonly Descriptor[];
    try {
      await using blob = await store.open(digest, signal);
      if (blob === undefined) {
        missing.add(digest);
        continue;
      }
      ({ children } = await readManifest(blob, signal));
      manifests.add(digest);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      broken.set(digest, error.message);
      continue;
    }
    for (const child of children) {
      if (digests.has(child.digest)) continue;
      if (digests.size >= MAX_TREE_SIZE) {
        broken.set(root.digest, `more than ${MAX_TREE_SIZE} digests`);
        return { digests, manifests, missing, broken };
      }
      digests.add(child.digest);
      if (isManifestType(child.mediaType)) unread.push(child.digest);
    }
  }
  return { digests, manifests, missing, broken };
}
