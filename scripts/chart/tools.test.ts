import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { describe, it } from 'node:test';

import { missing, TOOLS } from './tools.ts';

describe('missing', () => {
  for (const tool of Object.keys(TOOLS) as (keyof typeof TOOLS)[]) {
    it(`names the command that installs ${tool}, unless it is installed`, () => {
      assert.ok(isAbsolute(TOOLS[tool]));
      if (existsSync(TOOLS[tool])) assert.equal(missing(tool), undefined);
      else assert.match(missing(tool) ?? '', new RegExp(`^${tool} .*scripts/install-chart-tools`));
    });
  }
});
