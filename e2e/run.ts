/**
 * Runs the end-to-end tests: `e2e/run [FILE|PATTERN]...`, by default all. Installs what they need. On a machine that
 * cannot run them it prints a warning, and succeeds. With `PEERGLASS_E2E_AGENT=FILE` they test another program than the
 * sources, for example the bundle.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';

import { preflight } from './harness/preflight.ts';
import { FAILED_LOGS } from './harness/scenario.ts';

const PROCESS_BOUND = new URL('../agent/testing/process-bound.ts', import.meta.url).href;
const PATTERNS = ['e2e/**/*.e2e.ts', 'agent/**/*.e2e.ts'];

const machine = await preflight();
if (machine.ok) {
  for (const { version, suite } of machine.releases) say(`containerd ${version} (${suite})`);
  rmSync(FAILED_LOGS, { recursive: true, force: true });
  const patterns = process.argv.length > 2 ? process.argv.slice(2) : PATTERNS;
  // Two files at a time, because each mostly waits. More would compete for processors.
  const bounds = ['--import', PROCESS_BOUND];
  const options = [...bounds, '--test', '--test-concurrency=2', '--test-reporter=spec'];
  const { status } = spawnSync(process.execPath, [...options, ...patterns], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} else {
  say('*'.repeat(80));
  say(`SKIPPED: the tests on real containerd daemons: ${machine.reason}.`);
  say('They run as root on Debian, where they may install packages. NOTHING of them was tested.');
  say('*'.repeat(80));
}

function say(line: string): void {
  process.stderr.write(`e2e: ${line}\n`);
}
