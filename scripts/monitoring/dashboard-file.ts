import { join } from 'node:path';

import { format } from 'prettier';

import { CHART } from '../chart/generate.ts';
import { buildDashboard } from './dashboard.ts';

/** Where the chart has the dashboard. */
export const DASHBOARD_FILE = join(CHART, 'files/dashboard.json');

/** The text that the file should have. */
export function dashboardText(): Promise<string> {
  const json = JSON.stringify(buildDashboard());
  return format(json, { parser: 'json', printWidth: 100, singleQuote: true });
}
