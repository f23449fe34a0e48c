/**
 * Builds the archives for hosts without Kubernetes: `scripts/build-archive [--platform linux/amd64]...
 * [--output FOLDER]`. See docs/HOSTS.md.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import packageJson from '../package.json' with { type: 'json' };
import { archiveName, hostTree, writeArchive } from './archive/host-archive.ts';
import { parsePlatform, PLATFORMS } from './image/platform.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    platform: { type: 'string', multiple: true },
    output: { type: 'string', default: join(root, 'dist/archive') },
  },
});
const asked = values.platform?.map((text) => {
  const platform = parsePlatform(text);
  if (platform === undefined) throw new Error(`no archive can be built for ${text}`);
  return platform;
});
for (const platform of asked ?? PLATFORMS) {
  const cache = join(root, 'dist/cache/npm');
  const init = { root, cache, version: packageJson.version, platform };
  const file = join(values.output, `${archiveName(init)}.tar.gz`);
  await writeArchive(await hostTree(init), file);
  process.stdout.write(`${file}\n`);
}
