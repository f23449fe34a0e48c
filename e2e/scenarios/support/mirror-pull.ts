import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import { blobPathOf, manifestPath, type NodeMirror } from '../../harness/mirror.ts';
import { hostPlatform, type BuiltImage } from '../../images/image.ts';

/** What containerd sends with each request for a manifest. */
const ACCEPT = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  '*/*',
].join(', ');

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string };
}

interface Manifest {
  readonly manifests?: readonly Descriptor[];
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
}

/** How an image is named for a pull. */
export type NamedBy = 'tag' | 'digest';

/**
 * Pulls an image at a mirror as containerd does, whose store would answer the second pull: a HEAD of the name, the manifest of this
 * machine by its digest, the config, and the layers at once. Everything is read to its end, and verified by size and digest.
 *
 * @throws AssertionError with the request that failed
 */
export async function pullFromMirror(
  mirror: NodeMirror,
  image: BuiltImage,
  namedBy: NamedBy,
): Promise<void> {
  const named = manifestPath(image, namedBy === 'tag' ? undefined : image.target.digest);
  const head = await mirror.fetch(named, { method: 'HEAD', headers: { accept: ACCEPT } });
  const target = {
    digest: head.headers.get('docker-content-digest') ?? '',
    size: Number(head.headers.get('content-length')),
  };
  assert.equal(head.status, 200, `HEAD ${named}`);
  assert.equal(target.digest, image.target.digest, `HEAD ${named}`);
  const { config, layers = [] } = await manifestOf(mirror, image, target);
  assert.ok(config && layers.length > 0, `${named} has a config and layers`);
  await contentOf(mirror, blobPathOf(image, config.digest), config);
  await Promise.all(layers.map((it) => contentOf(mirror, blobPathOf(image, it.digest), it)));
}

async function manifestOf(
  mirror: NodeMirror,
  image: BuiltImage,
  target: Descriptor,
): Promise<Manifest> {
  const bytes = await contentOf(mirror, manifestPath(image, target.digest), target);
  const manifest = JSON.parse(String(bytes)) as Manifest;
  if (manifest.manifests === undefined) return manifest;
  const { architecture } = hostPlatform();
  const own = manifest.manifests.find(({ platform }) => platform?.architecture === architecture);
  assert.ok(own, `a manifest for ${architecture}`);
  return await manifestOf(mirror, image, own);
}

async function contentOf(
  mirror: NodeMirror,
  path: string,
  { digest, size }: Descriptor,
): Promise<Buffer> {
  const response = await mirror.fetch(path, { headers: { accept: ACCEPT } });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = response.status === 200 ? '' : String(bytes);
  assert.equal(response.status, 200, `GET ${path}: ${text}`);
  assert.equal(bytes.length, size, `size of ${path}`);
  assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest, path);
  return bytes;
}
