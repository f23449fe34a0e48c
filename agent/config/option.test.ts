import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { environmentName, option } from './option.ts';
import { VALUE } from './values.ts';

const row = { kind: VALUE.text, fallback: '', summary: 'a text', spegel: false };

describe('environmentName', () => {
  it('is the flag in upper snake case', () => {
    assert.equal(environmentName('max-uploads-per-blob', option(row)), 'MAX_UPLOADS_PER_BLOB');
  });

  it('is the name of the option when it has one', () => {
    assert.equal(environmentName('enable-latest', { ...row, env: 'K3S_X' }), 'K3S_X');
  });
});
