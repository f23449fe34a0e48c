/** Packs the chart for a release: `scripts/package-chart --image REPOSITORY [--output FOLDER]`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { TOOLS } from './chart/tools.ts';
import { packageChart } from './release/chart-package.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    image: { type: 'string' },
    output: { type: 'string', default: join(root, 'dist/chart') },
  },
});
if (values.image === undefined) throw new Error('--image is needed: where the image is published');
const helm = existsSync(TOOLS.helm) ? TOOLS.helm : 'helm';
const archive = await packageChart({ root, helm, image: values.image, output: values.output });
process.stdout.write(`${archive}\n`);
