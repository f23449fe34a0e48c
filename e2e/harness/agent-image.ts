import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { toArchive } from '../../scripts/oci-image/archive.ts';
import {
  blobPath,
  IMAGE_NAME,
  putJson,
  readIndex,
  readManifest,
  REF_NAME,
  writeIndex,
  type Descriptor,
} from '../../scripts/oci-image/oci-layout.ts';
import { hostPlatform } from '../images/image.ts';
import { execute } from './child.ts';
import { runDirectory } from './run.ts';
import type { PushedImage } from './upstream.ts';

const BUILD_IMAGE = fileURLToPath(new URL('../../scripts/build-image', import.meta.url));

/** An image of the agent, packed for `ctr image import`. */
export interface AgentImage {
  readonly name: string;
  readonly layout: string;
  readonly archive: string;
  /** Its index. */
  readonly target: Descriptor;
}

/** Runs `scripts/build-image` for this machine. */
export async function buildAgentImage(name: string): Promise<AgentImage> {
  const output = join(runDirectory(), 'agent-image');
  const { os, architecture } = hostPlatform();
  const words = ['--platform', `${os}/${architecture}`, '--name', name, '--output', output];
  await execute([BUILD_IMAGE, ...words], { timeoutMs: 600_000 });
  const layout = join(output, 'layout');
  const target = (await readIndex(layout)).find(
    ({ annotations }) => annotations?.[IMAGE_NAME] === name,
  );
  if (target === undefined) throw new Error(`no ${name} in ${layout}`);
  return { name, layout, archive: join(output, 'image.tar'), target };
}

/**
 * Makes another version of the image: the same layers under another name, and one more variable. Only the digests of
 * the layers stay the same, and the variable distinguishes its processes.
 */
export async function anotherVersion(
  { layout, target }: AgentImage,
  name: string,
  variable: string,
): Promise<AgentImage> {
  const platforms = await readManifest(layout, target.digest);
  const manifests: Descriptor[] = [];
  for (const { digest, mediaType, platform } of platforms.manifests ?? []) {
    const manifest = await readJson<{ config: Descriptor }>(blobPath(layout, digest));
    const config = await readJson<{ config: { Env?: readonly string[] } }>(
      blobPath(layout, manifest.config.digest),
    );
    const changed = {
      ...config,
      config: { ...config.config, Env: [...(config.config.Env ?? []), variable] },
    };
    const descriptor = await putJson(layout, manifest.config.mediaType, changed);
    const next = await putJson(layout, mediaType, { ...manifest, config: descriptor });
    manifests.push({ ...next, ...(platform === undefined ? {} : { platform }) });
  }
  const next = await putJson(layout, target.mediaType, { ...platforms, manifests });
  const tag = name.slice(name.lastIndexOf(':') + 1);
  await writeIndex(layout, [{ ...next, annotations: { [IMAGE_NAME]: name, [REF_NAME]: tag } }]);
  const archive = join(runDirectory(), `agent-${tag}.tar`);
  await toArchive(layout, archive);
  return { name, layout, archive, target: next };
}

/** The image under another name, as a registry takes it. */
export async function toPush({ layout, target }: AgentImage, name: string): Promise<PushedImage> {
  const { manifests = [] } = await readManifest(layout, target.digest);
  return {
    name,
    target,
    manifests: await Promise.all(
      manifests.map(async (descriptor) => {
        const { config, layers = [] } = await readManifest(layout, descriptor.digest);
        if (config === undefined) throw new Error(`${descriptor.digest} is no image`);
        return { descriptor, config, layers: layers.map((layer) => ({ descriptor: layer })) };
      }),
    ),
  };
}

async function readJson<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(file, 'utf8')) as T;
}
