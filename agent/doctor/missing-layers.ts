import { parseDigest, type Digest } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from '../oci/manifest.ts';
import { isManifestType } from '../oci/media-type.ts';
import type { ContainerdClient } from '../store/containerd/client.ts';
import { RemoteBlob } from '../store/containerd/remote-blob.ts';
import { readBlob } from '../store/read-blob.ts';

/** Image records, reduced to their names. */
export type ImageNames = readonly { readonly name: string }[];

/** Upper bound for the images that are checked. */
const MAX_IMAGES = 500;
/** Upper bound for the manifests that are read of one image. */
const MAX_MANIFESTS = 64;

/** Result of {@link findMissingLayers}. */
export interface MissingLayers {
  /** Number of images in the store. */
  readonly all: number;
  /** Number of images that were checked. */
  readonly checked: number;
  /** The images that lack layers: `NAME: 2 of 5 layers are gone`. */
  readonly missing: readonly string[];
}

/**
 * Finds images that were unpacked and whose layers are gone: the store has a manifest and its config, but not all of
 * its layers. An image is complete when one of its platforms is.
 */
export async function findMissingLayers(
  containerd: ContainerdClient,
  signal: AbortSignal,
): Promise<MissingLayers> {
  const held = new Set<string>();
  for await (const infos of containerd.list(signal))
    for (const { digest } of infos) held.add(digest);
  const images = (await containerd.images(signal)).filter(
    ({ name }) => !name.startsWith('sha256:'),
  );
  const checked = images.slice(0, MAX_IMAGES);
  const missing: string[] = [];
  const known = new Map<string, string | undefined>();
  for (const { name, target } of checked) {
    const root = parseDigest(target?.digest ?? '');
    if (root === undefined) continue;
    if (!known.has(root)) known.set(root, await lossOf(containerd, root, held, signal));
    const loss = known.get(root);
    if (loss !== undefined) missing.push(`${name}: ${loss}`);
  }
  return { all: images.length, checked: checked.length, missing };
}

async function lossOf(
  containerd: ContainerdClient,
  root: Digest,
  held: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  let loss: string | undefined;
  const queue = [root];
  const seen = new Set<Digest>();
  for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
    if (seen.has(digest) || !held.has(digest) || seen.size >= MAX_MANIFESTS) continue;
    seen.add(digest);
    const children = await childrenOf(containerd, digest, signal);
    const manifests = children.filter(({ mediaType }) => isManifestType(mediaType));
    queue.push(...manifests.map((child) => child.digest));
    const [config, ...layers] = children.filter((child) => !manifests.includes(child));
    if (config === undefined || !held.has(config.digest)) continue;
    const gone = layers.filter((layer) => !held.has(layer.digest)).length;
    if (gone === 0) return undefined;
    loss = `${gone} of ${layers.length} layers are gone`;
  }
  return loss;
}

async function childrenOf(
  containerd: ContainerdClient,
  digest: Digest,
  signal: AbortSignal,
): Promise<ReturnType<typeof parseManifest>['children']> {
  const bytes = await readManifest(containerd, digest, signal);
  try {
    return bytes === undefined ? [] : parseManifest(bytes).children;
  } catch (error) {
    if (error instanceof ManifestError) return [];
    throw error;
  }
}

/** Reads a manifest from the store; undefined when it is missing or too large for a manifest. */
export async function readManifest(
  containerd: ContainerdClient,
  digest: Digest,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const size = (await containerd.info(digest, signal))?.size;
  if (size === undefined || size > MAX_MANIFEST_BYTES) return undefined;
  await using blob = new RemoteBlob(containerd, { digest, size });
  return await readBlob(blob, MAX_MANIFEST_BYTES, signal);
}
