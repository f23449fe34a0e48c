/** Generates parts of the chart: `scripts/generate-chart [--check]`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { CHART, generateChart, readOrEmpty } from './chart/generate.ts';

let stale = 0;
for (const [name, text] of Object.entries(await generateChart())) {
  const path = join(CHART, name);
  if (!process.argv.includes('--check')) {
    writeFileSync(path, text);
  } else if (readOrEmpty(path) !== text) {
    process.stderr.write(
      `charts/peerglass/${name} is not what the code says; run scripts/generate-chart\n`,
    );
    stale += 1;
  }
}
process.exitCode = stale === 0 ? 0 : 1;
