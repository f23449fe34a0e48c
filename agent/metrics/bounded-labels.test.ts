import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BoundedLabels } from './bounded-labels.ts';

describe('BoundedLabels', () => {
  it('keeps the first 200 values, and replaces all later ones by "other"', () => {
    const labels = new BoundedLabels();
    for (let value = 0; value < 200; value++) assert.equal(labels.label(`${value}`), `${value}`);
    assert.equal(labels.label('200'), 'other');
    assert.equal(labels.label('0'), '0');
    assert.equal(labels.label('200'), 'other');
  });
});
