/**
 * Two bundles of the agent, measured in turn in one run by the other benches, printed and never asserted:
 * `node e2e/bench/compare.bench.ts --before OLD.mjs --after dist/peerglass.mjs --runs 2 --transfer serve,proxy --directory place`.
 * A ratio means something where it is farther from 1 than the spread of the runs of one bundle.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { compareBundles, type Side } from './support/bundle-comparison.ts';
import { loadText, type Row } from './support/report.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    before: text,
    after: { ...text, default: 'dist/peerglass.mjs' },
    runs: { ...text, default: '2' },
    transfer: { ...text, default: 'serve,proxy,manifest,manifest-peer,miss,memory' },
    directory: { ...text, default: 'place,idle,head' },
    rounds: { ...text, default: '3' },
    seconds: { ...text, default: '3' },
  },
});
if (values.before === undefined) throw new Error('--before FILE: the bundle to compare with');
const bundles: Readonly<Record<Side, string>> = {
  before: resolve(values.before),
  after: resolve(values.after),
};
const folder = mkdtempSync(join(tmpdir(), 'peerglass-compare-'));
const started = loadText();
const runs: { side: Side; rows: readonly Row[] }[] = [];
try {
  for (let run = 0; run < Number(values.runs); run++) {
    // In the other order in every second round, so that neither is always first.
    const sides: readonly Side[] = run % 2 === 0 ? ['before', 'after'] : ['after', 'before'];
    for (const side of sides) {
      const rows: Row[] = [];
      const { rounds, seconds } = values;
      if (values.transfer !== '') {
        const words = ['--only', values.transfer, '--rounds', rounds, '--seconds', seconds];
        rows.push(...(await measure('transfer', words, side)));
      }
      if (values.directory !== '') {
        rows.push(...(await measure('directory', ['--only', values.directory], side)));
      }
      runs.push({ side, rows });
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
const size = (side: Side): string => `${(statSync(bundles[side]).size / 1024).toFixed(0)} KiB`;
process.stdout.write(
  `\nLoad average ${started} before and ${loadText()} after. ${values.runs} runs of each bundle, in turn.` +
    ` Bundle: ${size('before')} before, ${size('after')} after.\n\n`,
);
process.stdout.write(
  '| figure | what | before | after | after / before | spread of one bundle |\n|---|---|---|---|---|---|\n',
);
for (const { figure, what, unit, before, after, ratio, spread } of compareBundles(runs)) {
  const number = (value: number): string => String(Number(value.toPrecision(3)));
  process.stdout.write(
    `| ${figure} | ${what} | ${number(before)} ${unit} | ${number(after)} ${unit} | ${times(ratio)} | ${times(spread)} |\n`,
  );
}

/** A ratio of two zeros is none. */
function times(ratio: number): string {
  return Number.isFinite(ratio) ? ratio.toFixed(2) : '-';
}

/** Runs one of the benches with the bundle; its rows, as far as it came. */
async function measure(bench: string, words: readonly string[], side: Side): Promise<Row[]> {
  const path = join(folder, `${bench}.json`);
  rmSync(path, { force: true });
  process.stderr.write(`# ${bench}, ${side}\n`);
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, `${bench}.bench.ts`), ...words],
    {
      env: { ...process.env, PEERGLASS_E2E_AGENT: bundles[side], PEERGLASS_BENCH_JSON: path },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  await once(child, 'exit');
  return JSON.parse(readFileSync(path, 'utf8')) as Row[];
}
