import { buildLayer, type BuiltLayer, type Compression, type LayerSpec } from './layer.ts';
import {
  addToIndex,
  describeJson,
  IMAGE_NAME,
  initLayout,
  putJson,
  REF_NAME,
  type Descriptor,
  type Platform,
} from '../../scripts/oci-image/oci-layout.ts';

/** One platform of an image to generate. */
interface PlatformSpec extends Platform {
  readonly layers: readonly LayerSpec[];
  /** The index names it, but nothing of it is there, as on a node that pulled for itself only. */
  readonly absent?: boolean;
}

/** An image to generate. */
export interface ImageSpec {
  /** The whole reference, `registry.example.test/team/app:1.0`. */
  readonly name: string;
  /** Default: the name. The same seed gives the same image, byte for byte. */
  readonly seed?: string;
  /** Media types: OCI's or those of Docker's schema 2 (which has no zstd). Default `oci`. */
  readonly schema?: 'oci' | 'docker';
  /** Layers of an image for this machine alone. Either these or `platforms`. */
  readonly layers?: readonly LayerSpec[];
  /** More than one makes an index. */
  readonly platforms?: readonly PlatformSpec[];
}

/** A manifest in the layout, with all it refers to. */
interface BuiltManifest {
  readonly platform: Platform;
  readonly descriptor: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly BuiltLayer[];
}

/** An image in the layout. */
export interface BuiltImage {
  readonly name: string;
  /** What the name points to: the index if there is one, otherwise the manifest. */
  readonly target: Descriptor;
  /** The manifests that are present. */
  readonly manifests: readonly BuiltManifest[];
  /** Descriptors of every blob that is present: index, manifests, configs, layers; each once. */
  readonly blobs: readonly Descriptor[];
}

const MEDIA_TYPES = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: {
      none: 'application/vnd.oci.image.layer.v1.tar',
      gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
      zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
    },
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: {
      none: 'application/vnd.docker.image.rootfs.diff.tar',
      gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      zstd: undefined,
    },
  },
} as const;

/** The platform of this machine, as images name it. */
export function hostPlatform(): Platform {
  const names: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', ia32: '386' };
  return { os: 'linux', architecture: names[process.arch] ?? process.arch };
}

/** Generates the image into the OCI image layout folder, which is created when needed and may hold others. */
export async function buildImage(layout: string, spec: ImageSpec): Promise<BuiltImage> {
  await initLayout(layout);
  const schema = spec.schema ?? 'oci';
  const platforms = spec.platforms ?? [{ ...hostPlatform(), layers: spec.layers ?? [{}] }];
  const manifests: BuiltManifest[] = [];
  const entries: Descriptor[] = [];
  for (const platform of platforms) {
    const { os, architecture, variant } = platform;
    const name = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    if (platform.absent === true) {
      entries.push({ ...describeAbsent(schema, `${spec.name}/${architecture}`), platform: name });
      continue;
    }
    const built = await buildManifest(
      layout,
      schema,
      spec.seed ?? spec.name,
      name,
      platform.layers,
    );
    manifests.push(built);
    entries.push({ ...built.descriptor, platform: name });
  }
  const [only] = entries;
  if (only === undefined) throw new Error(`image ${spec.name} has no platform`);
  const isIndex = entries.length > 1;
  const target = isIndex
    ? await putJson(layout, MEDIA_TYPES[schema].index, {
        schemaVersion: 2,
        mediaType: MEDIA_TYPES[schema].index,
        manifests: entries,
      })
    : { mediaType: only.mediaType, digest: only.digest, size: only.size };
  const tag = spec.name.slice(spec.name.lastIndexOf(':') + 1);
  const annotations = { [IMAGE_NAME]: spec.name, [REF_NAME]: tag };
  await addToIndex(layout, { ...target, annotations });
  const blobs = new Map<string, Descriptor>([[target.digest, target]]);
  for (const { descriptor, config, layers } of manifests) {
    for (const blob of [descriptor, config, ...layers.map((layer) => layer.descriptor)]) {
      blobs.set(blob.digest, blob);
    }
  }
  return { name: spec.name, target, manifests, blobs: [...blobs.values()] };
}

async function buildManifest(
  layout: string,
  schema: 'oci' | 'docker',
  seed: string,
  platform: Platform,
  specs: readonly LayerSpec[],
): Promise<BuiltManifest> {
  const layers: BuiltLayer[] = [];
  for (const [index, layer] of specs.entries()) {
    const mediaType = layerMediaType(schema, layer.compression ?? 'gzip');
    const layerSeed = `${seed}/${platform.architecture}/${index}`;
    layers.push(await buildLayer(layout, mediaType, layer, layerSeed, `layer-${index}`));
  }
  const types = MEDIA_TYPES[schema];
  const created = '2024-01-01T00:00:00Z';
  const config = await putJson(layout, types.config, {
    created,
    ...platform,
    config: { Cmd: ['/bin/true'] },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((_, index) => ({ created, created_by: `layer ${index} of ${seed}` })),
  });
  const descriptor = await putJson(layout, types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config,
    layers: layers.map((layer) => layer.descriptor),
  });
  return { platform, descriptor, config, layers };
}

function layerMediaType(schema: 'oci' | 'docker', compression: Compression): string {
  const type = MEDIA_TYPES[schema].layer[compression];
  if (type === undefined) throw new Error(`${schema} images have no ${compression} layers`);
  return type;
}

function describeAbsent(schema: 'oci' | 'docker', seed: string): Descriptor {
  const types = MEDIA_TYPES[schema];
  const config = describeJson(types.config, { absent: seed });
  const layers = [{ ...describeJson(types.layer.gzip, { absent: `${seed}/layer` }) }];
  const manifest = { schemaVersion: 2, mediaType: types.manifest, config, layers };
  return describeJson(types.manifest, manifest);
}
