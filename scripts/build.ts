import { copyFileSync, existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { bundleAgent } from './bundle.ts';

const root = join(import.meta.dirname, '..');
const outfile = join(root, 'dist/peerglass.mjs');

await bundleAgent({ root, outfile });

// Copies koffi's binary for this platform beside the bundle, because koffi itself looks for it in node_modules. Without it the
// agent works the same, but more slowly (agent/native).
const { platform, arch } = process;
const native = `node_modules/@koromix/koffi-${platform}-${arch}/${platform}_${arch}/koffi.node`;
const beside = join(root, 'dist/koffi.node');
rmSync(beside, { force: true });
if (existsSync(join(root, native))) {
  copyFileSync(join(root, native), beside);
  copyFileSync(join(root, 'node_modules/koffi/LICENSE.txt'), `${beside}.LEGAL.txt`);
} else process.stderr.write(`no ${native}: the agent will copy blobs in JavaScript\n`);

process.stdout.write(`${outfile}: ${Math.round(statSync(outfile).size / 1024)} KiB\n`);
