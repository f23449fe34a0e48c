/** Installs helm, kubernetes-validate, promtool and actionlint for the tests of the chart and the workflows: `scripts/install-chart-tools`. */
import { installTools } from './chart/tools.ts';

const problems = installTools();
if (problems.length > 0) {
  say('*'.repeat(80));
  for (const problem of problems) say(`SKIPPED: ${problem}`);
  say('The chart and the workflows are NOT checked with the missing tools.');
  say('*'.repeat(80));
}

function say(line: string): void {
  process.stderr.write(`chart: ${line}\n`);
}
