/** Generates the dashboard of the chart: `scripts/generate-dashboard [--check]`. */
import { writeFileSync } from 'node:fs';

import { readOrEmpty } from './chart/generate.ts';
import { DASHBOARD_FILE, dashboardText } from './monitoring/dashboard-file.ts';

const text = await dashboardText();
if (!process.argv.includes('--check')) {
  writeFileSync(DASHBOARD_FILE, text);
} else if (readOrEmpty(DASHBOARD_FILE) !== text) {
  process.stderr.write(
    'charts/peerglass/files/dashboard.json is not what the code says; run scripts/generate-dashboard\n',
  );
  process.exitCode = 1;
}
