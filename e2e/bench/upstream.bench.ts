/**
 * Prints figures of bodies that the agent fetches from registries, beside nginx that passes them on:
 * `node e2e/bench/upstream.bench.ts --only bodies --schemes http`. Needs root on Debian. To be compared with each other within
 * one run only.
 */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

import { installPackages, missingPackages } from '../harness/debian.ts';
import { PROGRAM } from './support/agent.ts';
import { choose, whole } from './support/options.ts';
import { loadText, Report } from './support/report.ts';
import { measureBodies } from './upstream/bodies.ts';
import { measureFirstByte } from './upstream/first-byte.ts';
import { measureThrottled } from './upstream/throttled.ts';
import { UpstreamStage } from './upstream/upstream-stage.ts';

const MEASURES = {
  bodies: measureBodies,
  'first-byte': measureFirstByte,
  throttled: measureThrottled,
} as const;
const FIGURES = ['bodies', 'first-byte', 'throttled'] as const;
const SCHEMES = ['http', 'https'] as const;
const USAGE = `node e2e/bench/upstream.bench.ts [OPTION]...
  --only FIGURE,...          of ${FIGURES.join(', ')}; default: all
  --schemes SCHEME,...       of ${SCHEMES.join(', ')}; default: both
  --rounds N                 each subject is measured so often, in turn with the others (5)
  --profile FOLDER           a CPU profile of the agent, which it slows down
`;

const report = new Report();
let options: {
  readonly figures: readonly (typeof FIGURES)[number][];
  readonly schemes: readonly string[];
  readonly rounds: number;
  readonly profile: string | undefined;
};
try {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      only: { ...text, default: FIGURES.join(',') },
      schemes: { ...text, default: SCHEMES.join(',') },
      rounds: { ...text, default: '5' },
      profile: text,
    },
  });
  options = {
    figures: choose(FIGURES, values.only),
    schemes: choose(SCHEMES, values.schemes),
    rounds: whole(values.rounds),
    profile: values.profile,
  };
  if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}; run scripts/build`);
  if (process.getuid?.() !== 0) throw new Error('not root');
  await installPackages(await missingPackages(['nginx-light', 'iproute2']));
} catch (error) {
  process.stderr.write(`${String(error)}\n\n${USAGE}`);
  process.exit(2);
}
const before = loadText();
try {
  await using stage = await UpstreamStage.open(options.profile);
  for (const figure of options.figures) await MEASURES[figure](stage, report, options);
} catch (error) {
  process.stderr.write(`${String(error)}: ${String((error as Error).cause)}\n`);
  process.exitCode = 1;
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after, ${options.rounds} rounds; of ratios, the` +
    ' median of the ratios of the rounds. Others may have used the machine: compare within this run only.\n\n',
);
process.stdout.write(report.table());
report.writeJson();
process.exit();
