import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { completionSteps, drawCurves } from './curves.ts';
import { rowsOf, tableOf, type PlacedRun } from './report.ts';

function run(
  name: PlacedRun['name'],
  round: number,
  held: readonly (number | undefined)[],
): PlacedRun {
  return {
    ...{ links: 'C = U = 200', image: '1 x 1 MB', round, name, imageBytes: 1000 },
    outcomes: held.map((at, index) => ({ node: `n${index}`, begun: 0, held: at, failedPulls: 0 })),
    registry: { bytesSent: 2000, manifestGets: 1, manifestHeads: 3, blobGets: 2 },
    ...{ victim: undefined, busy: 0.5, agentsCpuMs: 0, agentsMemory: [] },
  };
}

describe('the report of the fan-out bench', () => {
  it('compares the last node with the one alone of the same round', () => {
    const runs = [
      run('alone', 0, [1000]),
      run('off', 0, [1000, 2000]),
      run('alone', 1, [4000]),
      run('off', 1, [4000, 8000]),
    ];
    const [, off] = rowsOf(runs);
    assert.equal(off?.toAlone, 2);
    assert.equal(off.aboveAloneMs, 2500);
    assert.deepEqual(off.lasts, [2, 8]);
    assert.equal(off.figures['images sent'], 2);
    assert.match(tableOf([off]), /\| off \| 2 \| 2500 \| 2, 8 \| 5 \|/);
  });

  it('counts nodes without the image, except for the one that failed on purpose', () => {
    const failing = { ...run('off', 0, [1000, undefined, undefined]), victim: 'n1' };
    assert.equal(rowsOf([failing])[0]?.figures['without image'], 1);
  });

  it('has no times where no node has the image', () => {
    const [row] = rowsOf([run('off', 0, [undefined])]);
    assert.ok(Number.isNaN(row?.figures['last']));
    assert.equal(row?.figures['without image'], 1);
  });

  it('draws the share of nodes over time', () => {
    const runs = [run('off', 0, [2000, 1000, undefined, undefined])];
    assert.deepEqual(completionSteps(runs), [
      [1, 0],
      [1, 0.25],
      [2, 0.25],
      [2, 0.5],
    ]);
    const svg = drawCurves(runs, 'A & B');
    assert.match(svg, /A &amp; B/);
    assert.match(svg, /class="title">1 x 1 MB, C = U = 200 Mbit\/s</);
    // Of four nodes two have the image.
    assert.match(svg, /class="line off" d="M52 200L[^"]* 118"/);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
  });
});
