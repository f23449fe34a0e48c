import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readOrEmpty } from '../chart/generate.ts';
import { DASHBOARD_FILE, dashboardText } from './dashboard-file.ts';

describe('dashboardText', () => {
  it('is the text of the file in the chart', async () => {
    const text = readOrEmpty(DASHBOARD_FILE);
    assert.equal(text, await dashboardText(), 'run scripts/generate-dashboard');
  });
});
