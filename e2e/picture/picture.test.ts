import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { DASHBOARD_ROWS } from '../../scripts/monitoring/panels.ts';
import { drawDashboard } from './draw.ts';
import { escaped, linePath } from './svg.ts';
import { axisMarks, formatValue } from './units.ts';

const ROOT = join(import.meta.dirname, '../..');
const FILE = join(ROOT, 'docs/dashboard.svg');
const MOST_BYTES = 300 * 1024;

/** The texts of the picture of this class. */
function texts(svg: string, name: string): string[] {
  return [...svg.matchAll(new RegExp(`class="${name}">([^<]*)<`, 'g'))].map(([, it = '']) => it);
}

describe('the picture of the dashboard', () => {
  const svg = readFileSync(FILE, 'utf8');

  it('has all rows and panels of the dashboard, and no other', () => {
    const stale = 'the dashboard has changed: run node e2e/picture/main.ts';
    const panels = Object.values(DASHBOARD_ROWS).flat();
    assert.deepEqual(texts(svg, 'row'), Object.keys(DASHBOARD_ROWS).map(escaped), stale);
    assert.deepEqual(
      texts(svg, 'title'),
      panels.map(({ title }) => escaped(title)),
      stale,
    );
  });

  it('draws data in every panel', () => {
    const drawn = svg.split('<g transform').slice(1);
    assert.equal(drawn.length, Object.values(DASHBOARD_ROWS).flat().length);
    for (const panel of drawn) assert.match(panel, /class="number">-?[\d.]|class="line s\d" d="M/);
  });

  it('is small, loads nothing and has a title', () => {
    assert.ok(statSync(FILE).size < MOST_BYTES);
    assert.doesNotMatch(svg, /href|url\(|<script|NaN|Infinity|undefined/);
    assert.match(svg, /Drawn from the answers of a real Prometheus/);
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    assert.match(readme, /!\[[^\]]+\]\(docs\/dashboard\.svg\)/);
    assert.match(readme, /drawn from the answers of a real Prometheus/);
  });

  it('refuses to draw an empty panel', () => {
    const points = [[0, Number.NaN]] as const;
    const panel = {
      title: 'x',
      kind: 'graph',
      unit: 's',
      series: [{ name: 'a', points }],
    } as const;
    const span = { from: 0, to: 60 };
    assert.throws(
      () => drawDashboard([{ title: 'r', panels: [panel] }], { caption: '', span }),
      /nothing to draw: x/,
    );
  });
});

describe('figures of the picture', () => {
  for (const [unit, value, text] of [
    ['bytes', 0, '0 B'],
    ['bytes', 1_536, '1.5 KiB'],
    ['Bps', 10 * 2 ** 20, '10 MiB/s'],
    ['s', 0.629, '629 ms'],
    ['s', 0.000_012, '12 µs'],
    ['s', 90, '1.5 min'],
    ['percentunit', 0.987_6, '98.8 %'],
    ['reqps', 4.267, '4.27 req/s'],
    ['short', 12_345, '12.3 k'],
  ] as const) {
    it(`has ${value} ${unit} as ${text}`, () => {
      assert.equal(formatValue(unit, value), text);
    });
  }

  it('has axes from 0 to a round figure', () => {
    const labels = (most: number): string[] => axisMarks('bytes', most).map((it) => it.label);
    assert.deepEqual(labels(0), ['0 B', '0.5 B', '1 B']);
    assert.deepEqual(labels(120 * 2 ** 20), ['0 MiB', '50 MiB', '100 MiB', '150 MiB']);
    assert.deepEqual(
      axisMarks('s', 0.19).map(({ label }) => label),
      ['0 ms', '50 ms', '100 ms', '150 ms', '200 ms'],
    );
  });

  it('has lines with gaps, and without points on a straight line', () => {
    const path = linePath([[0, 5], [1, 5], [2, 5], [3, 7], undefined, [5, 1.04], undefined]);
    assert.equal(path, 'M0 5L2 5L3 7M5 1h1');
  });
});
