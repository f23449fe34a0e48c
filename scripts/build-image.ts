/**
 * Builds the image: `scripts/build-image [--platform linux/amd64]... [--name NAME] [--output FOLDER] [--source URL]
 * [--revision COMMIT]`. See docs/IMAGE.md.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import packageJson from '../package.json' with { type: 'json' };
import { buildImage, downloadSize } from './image/build-image.ts';
import { readMetadata } from './image/metadata.ts';
import { parsePlatform, PLATFORMS } from './image/platform.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    platform: { type: 'string', multiple: true },
    name: { type: 'string', default: `localhost/peerglass:${packageJson.version}` },
    output: { type: 'string', default: join(root, 'dist/image') },
    source: { type: 'string' },
    revision: { type: 'string' },
  },
});

const asked = values.platform?.map((text) => {
  const platform = parsePlatform(text);
  if (platform === undefined) throw new Error(`no image can be built for ${text}`);
  return platform;
});
const { source, revision } = values;
const metadata = await readMetadata(root, process.env, { source, revision });
if (metadata.source === undefined)
  say('neither package.json nor --source has the repository: the image gets no source label');
const built = await buildImage({
  root,
  output: values.output,
  cache: join(root, 'dist/cache'),
  name: values.name,
  platforms: asked ?? PLATFORMS,
  metadata,
});

for (const it of built.images) {
  const { base, node, agent } = it.sizes;
  const parts = `base ${megabytes(base)}, node ${megabytes(node)}, agent ${megabytes(agent)}`;
  const platform = `linux/${it.image.platform?.architecture ?? ''}`;
  print(`${platform}  ${it.image.digest}  ${megabytes(downloadSize(it))} MB (${parts})`);
}
for (const { platform, reason } of built.leftOut) {
  say('*'.repeat(80));
  say(`LEFT OUT: linux/${platform.architecture}: ${String(reason)}`);
  say('*'.repeat(80));
}
print(`index        ${built.target.digest}  ${values.name}`);
for (const { image, document } of built.images) {
  const file = join(values.output, `${image.platform?.architecture ?? ''}.spdx.json`);
  await writeFile(file, document);
}
await writeFile(
  join(values.output, 'digests.json'),
  `${JSON.stringify(digests(), undefined, 2)}\n`,
);
print(built.layout);
print(built.archive);
// A platform that was requested explicitly is required.
if (asked !== undefined && built.leftOut.length > 0) process.exitCode = 1;

/** Digests of the index and the images, for signing and attestation. */
function digests(): Record<string, string> {
  const images = built.images.map(
    ({ image }) => [image.platform?.architecture ?? '', image.digest] as const,
  );
  return { index: built.target.digest, ...Object.fromEntries(images) };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function say(line: string): void {
  process.stderr.write(`build-image: ${line}\n`);
}
