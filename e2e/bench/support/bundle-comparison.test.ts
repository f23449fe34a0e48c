import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { compareBundles } from './bundle-comparison.ts';

const row = (what: string, value: number) => ({
  figure: 'serve',
  what,
  value,
  unit: 'MiB/s',
  note: '',
});

describe('compareBundles', () => {
  it('divides the median after by the median before, and reports the spread of the runs of one bundle', () => {
    const [compared] = compareBundles([
      { side: 'before', rows: [row('throughput', 100)] },
      { side: 'after', rows: [row('throughput', 90)] },
      { side: 'after', rows: [row('throughput', 110)] },
      { side: 'before', rows: [row('throughput', 80)] },
    ]);
    assert.equal(compared?.before, 90);
    assert.equal(compared.after, 100);
    assert.equal(compared.ratio, 100 / 90);
    assert.equal(compared.spread, 1.25);
  });

  it('leaves out a figure that only one bundle has', () => {
    const compared = compareBundles([
      { side: 'before', rows: [row('throughput', 100)] },
      { side: 'after', rows: [row('CPU', 90)] },
    ]);
    assert.deepEqual(compared, []);
  });
});
