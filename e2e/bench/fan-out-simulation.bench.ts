/**
 * The arbiter's own code with thousands of nodes of a fluid model, on a virtual clock: how long the last node of a herd waits beside
 * one node alone. `node e2e/bench/fan-out-simulation.bench.ts --nodes 16,100`. Needs nothing; minutes for 5,000 nodes.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

import type { HerdInit, HerdResult } from './fan-out/herd-init.ts';
import { Herd } from './fan-out/herd.ts';
import { runStripes } from './fan-out/stripes.ts';
import { whole } from './support/options.ts';
import { loadText, Report } from './support/report.ts';

/** Bytes a millisecond of the upstream registry: 1 Gbit/s. */
const UPSTREAM = 125_000;
const FIGURE = 'fan-out simulation';

const USAGE = `node e2e/bench/fan-out-simulation.bench.ts [OPTION]...
  --nodes N,...   sizes of the herd (16,100,1000,5000)
  --seed N        of the arrivals and of those that die (1)
  --only WHAT,... herds, variants, stripes (all), and chains: bounds of a chain with 4 GB, which takes long
`;

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '16,100,1000,5000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: 'herds,variants,stripes' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit();
}
const sizes = values.nodes.split(',').map(whole);
const seed = whole(values.seed);
const only = new Set(values.only.split(','));
const report = new Report();
const before = loadText();

/** Links in times of the upstream registry. */
const LINKS = [1, 10] as const;
/** What may happen to a herd. */
const VARIANTS: Readonly<Record<string, Partial<HerdInit>>> = {
  'the fetcher stalls at half time': { stalls: true },
  '1 % of the nodes have a tenth of the link': { slow: 0.01 },
  '5 % of the nodes have a tenth of the link': { slow: 0.05 },
  'three zones': { zones: 3 },
  'three zones, a fetcher in each': { zones: 3, arbiter: { fetchersPerZone: true } },
  'arrivals over 5 s': { spreadMs: 5_000 },
  '1 MB, forwarded 30 ms after the last byte': { size: 1e6, commitMs: 30 },
  'the same, of unknown size': { size: 1e6, commitMs: 30, isSizeUnknown: true },
};

const columns = [
  'last/alone',
  'p99/p50',
  'all/alone',
  'depth',
  'questions/s peak, mean',
  'images',
  'crossed',
  'asked',
  'us/answer',
  'not done',
];
process.stdout.write(
  `| N | C/U | herd | ${columns.join(' | ')} |\n|${'---|'.repeat(columns.length + 3)}\n`,
);

for (const nodes of sizes) {
  for (const link of LINKS) {
    const init = { nodes, seed, upstream: UPSTREAM, link: link * UPSTREAM, spreadMs: 300 };
    if (only.has('herds')) {
      for (const spreadMs of [300, 50])
        for (const killed of [0, 0.05])
          show(`in ${spreadMs} ms${killed > 0 ? ', 5 % die at half time' : ''}`, {
            ...init,
            spreadMs,
            killed,
          });
    }
    if (only.has('variants'))
      for (const [what, variant] of Object.entries(VARIANTS)) show(what, { ...init, ...variant });
    if (only.has('chains'))
      for (const maxChain of [32, 64, 256, 512])
        show(`chains of ${maxChain}`, { ...init, size: 4e9, arbiter: { maxChain } });
    if (only.has('stripes')) {
      for (const killed of [0, 0.05]) {
        const last = runStripes({ ...init, killed });
        const what = `two stripes${killed > 0 ? ', 5 % die at half time' : ''}`;
        report.add(FIGURE, `${nodes}, C = ${link} U, ${what}: last / alone`, last, 'x');
        process.stdout.write(
          `| ${nodes} | ${link} | ${what} | ${last.toFixed(2)} |${' |'.repeat(columns.length - 1)}\n`,
        );
      }
    }
  }
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after.\n`,
);
report.writeJson();

function show(what: string, init: HerdInit): void {
  const result = new Herd(init).run();
  const name = `${init.nodes}, C = ${init.link / init.upstream} U, ${what}`;
  report.add(FIGURE, `${name}: last / alone`, result.last, 'x');
  report.add(FIGURE, `${name}: CPU an answer`, result.answerUs, 'us');
  process.stdout.write(
    `| ${init.nodes} | ${init.link / init.upstream} | ${what} | ${cells(result).join(' | ')} |\n`,
  );
}

function cells(result: HerdResult): string[] {
  const {
    last,
    p50,
    p99,
    all,
    depth,
    peakQuestions,
    meanQuestions,
    images,
    crossed,
    asked,
    answerUs,
    unfinished,
  } = result;
  return [
    last.toFixed(2),
    (p99 / p50).toFixed(2),
    all.toFixed(2),
    String(depth),
    `${peakQuestions}, ${meanQuestions.toFixed(0)}`,
    images.toFixed(2),
    crossed.toFixed(2),
    asked.toFixed(2),
    answerUs.toFixed(1),
    String(unfinished),
  ];
}
