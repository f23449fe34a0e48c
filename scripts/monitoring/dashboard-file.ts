import { join } from 'node:path';

import { format } from 'prettier';

import { CHART } from '../chart/generate.ts';
import { buildDashboard } from './dashboard.ts';

/** Path of the dashboard in the chart. */
export const DASHBOARD_FILE = join(CHART, 'files/dashboard.json');

/** The expected text of the file. */
export function dashboardText(): Promise<string> {
  const json = JSON.stringify(buildDashboard());
  return format(json, { parser: 'json', printWidth: 100, singleQuote: true });
}
