import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { centreOf, isWithin, labelOf, RegionLayout, regionOfLabel } from './region-layout.ts';

const point = (target: number) => ({ target: target >>> 0 });

describe('RegionLayout', () => {
  it('makes regions of 16 to 31 nodes', () => {
    for (const [size, bits] of [
      [20, 0],
      [64, 2],
      [1000, 5],
      [5000, 8],
    ] as const) {
      const layout = new RegionLayout();
      layout.follow(size);
      assert.equal(layout.regionOf(point(0)).bits, bits);
    }
  });

  it('stays the same until the size has changed much', () => {
    const layout = new RegionLayout();
    assert.equal(layout.follow(1000), true);
    for (const size of [1100, 1400, 900, 700]) assert.equal(layout.follow(size), false);
    assert.equal(layout.follow(1600), true);
    assert.equal(layout.follow(1000), true);
  });

  it('divides the key space', () => {
    const layout = new RegionLayout();
    layout.follow(64);
    const regions = [0, 0x3fffffff, 0x40000000, 0xffffffff].map((at) => layout.regionOf(point(at)));
    assert.deepEqual(
      regions.map(({ prefix }) => prefix),
      [0, 0, 1, 3],
    );
    assert.equal(isWithin({ bits: 2, prefix: 3 }, 0xc0000000), true);
    assert.equal(isWithin({ bits: 2, prefix: 3 }, 0xbfffffff), false);
    assert.equal(isWithin({ bits: 0, prefix: 0 }, 0xffffffff), true);
  });
});

describe('centreOf', () => {
  it('is within the region', () => {
    for (const region of [
      { bits: 0, prefix: 0 },
      { bits: 3, prefix: 7 },
      { bits: 31, prefix: 5 },
    ]) {
      assert.equal(isWithin(region, centreOf(region)), true);
    }
  });
});

describe('labelOf', () => {
  it('differs for all regions of all layouts', () => {
    const labels = [0, 1, 2, 3, 4].flatMap((bits) =>
      Array.from({ length: 2 ** bits }, (_, prefix) => labelOf({ bits, prefix })),
    );
    assert.equal(new Set(labels).size, labels.length);
    const regions = labels.map((label) => regionOfLabel(label)).filter((it) => it !== undefined);
    assert.deepEqual(regions.map(labelOf), labels);
    for (const label of [0, -1, 2 ** 40, Number.NaN]) assert.equal(regionOfLabel(label), undefined);
  });
});
