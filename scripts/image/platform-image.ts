import { join } from 'node:path';

import { agentTree } from './agent-layer.ts';
import { BASE_SUITE, baseTree } from './base-layer.ts';
import { putLayer, type Layer } from './layer.ts';
import { annotationsOf, type ImageMetadata } from './metadata.ts';
import { nodeTree } from './node-layer.ts';
import { readLockfile } from './npm-package.ts';
import { putBlob, putJson, type Descriptor } from '../oci-image/oci-layout.ts';
import type { Platform } from './platform.ts';
import { SPDX_JSON, spdxDocument } from './sbom.ts';

/** Options of {@link putPlatformImage}. */
export interface PlatformImageInit {
  /** Folder of the repository. */
  readonly root: string;
  readonly layout: string;
  /** Folder for downloads and packed layers. */
  readonly cache: string;
  readonly metadata: ImageMetadata;
}

/** An image for one platform, in a layout. */
export interface PlatformImage {
  /** Descriptor of the manifest, with the platform. */
  readonly image: Descriptor;
  /** Descriptor of the manifest that attaches the SBOM. */
  readonly sbom: Descriptor;
  /** The SBOM itself. */
  readonly document: Buffer;
  /** Download size of each layer, in bytes. */
  readonly sizes: Readonly<Record<'base' | 'node' | 'agent', number>>;
}

const CONFIG = 'application/vnd.oci.image.config.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';

/**
 * How the agent is started. The agent sets the V8 options that it needs itself. The memory limit is set by the deployment, in
 * NODE_OPTIONS.
 */
const RUN = {
  // Only root may use containerd's socket.
  User: '0:0',
  ExposedPorts: { '5000/tcp': {}, '5001/tcp': {}, '9090/tcp': {} },
  Env: [
    'PATH=/usr/bin',
    'NODE_ENV=production',
    // Certificates mounted there are trusted in addition to those of Node.js.
    'NODE_USE_SYSTEM_CA=1',
    'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
    // One arena for all threads. Otherwise each thread of libuv keeps its own, although it allocates little.
    'MALLOC_ARENA_MAX=1',
  ],
  Entrypoint: ['/usr/bin/peerglass'],
  Cmd: ['registry'],
  WorkingDir: '/',
  StopSignal: 'SIGTERM',
};

/** Builds the image for one platform. Layers that change rarely are below those that change often. */
export async function putPlatformImage(
  init: PlatformImageInit,
  platform: Platform,
): Promise<PlatformImage> {
  const { root, layout, metadata } = init;
  const archives = join(init.cache, 'npm');
  const node = await nodeTree(root, platform, archives);
  const agent = await agentTree(root, platform, archives);
  const lists = join(init.cache, `debian-${BASE_SUITE}-${platform.architecture}`);
  const base = await baseTree(platform, [node.program, agent.native], lists);
  const layers: Layer[] = [];
  for (const { tree } of [base, node, agent]) {
    layers.push(await putLayer(layout, tree, join(init.cache, 'layers')));
  }
  const image = await putManifest(init, platform, layers);
  const lockfile = await readLockfile(root);
  const locked = lockfile[`node_modules/node-linux-${platform.node}`];
  if (locked === undefined) throw new Error('Node.js is not in package-lock.json');
  const sbomOf = spdxDocument({
    metadata,
    image,
    suite: BASE_SUITE,
    node: locked,
    npm: agent.packages,
    debian: base.packages,
  });
  const document = Buffer.from(`${JSON.stringify(sbomOf, undefined, 1)}\n`);
  const sbom = await attach(layout, image, document, metadata);
  const [baseSize = 0, nodeSize = 0, agentSize = 0] = layers.map((it) => it.descriptor.size);
  return { image, sbom, document, sizes: { base: baseSize, node: nodeSize, agent: agentSize } };
}

async function putManifest(
  { layout, metadata }: PlatformImageInit,
  { architecture }: Platform,
  layers: readonly Layer[],
): Promise<Descriptor> {
  const annotations = annotationsOf(metadata);
  const { created } = metadata;
  const config = await putJson(layout, CONFIG, {
    created,
    architecture,
    os: 'linux',
    config: { ...RUN, Labels: annotations },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: ['base', 'node', 'agent'].map((part) => ({
      created,
      created_by: `scripts/build-image: ${part}`,
    })),
  });
  const manifest = await putJson(layout, MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config,
    layers: layers.map(({ descriptor }) => descriptor),
    annotations,
  });
  return { ...manifest, platform: { os: 'linux', architecture } };
}

/** Adds the document to the layout as a referrer of the image (OCI 1.1, manifest.md, "subject"). */
async function attach(
  layout: string,
  { mediaType, digest, size }: Descriptor,
  document: Buffer,
  { created }: ImageMetadata,
): Promise<Descriptor> {
  const config = await putJson(layout, EMPTY, {});
  const layer = await putBlob(layout, SPDX_JSON, [document]);
  const manifest = await putJson(layout, MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: SPDX_JSON,
    config,
    layers: [
      { ...layer, annotations: { 'org.opencontainers.image.title': 'peerglass.spdx.json' } },
    ],
    subject: { mediaType, digest, size },
    annotations: { 'org.opencontainers.image.created': created },
  });
  return { ...manifest, artifactType: SPDX_JSON };
}
