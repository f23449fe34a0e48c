import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { controlGroups, processesInGroup } from './control-groups.ts';
import { sweepStale } from './run.ts';
import { waitFor } from './wait.ts';

const FIXTURE = fileURLToPath(new URL('run-fixture.ts', import.meta.url));

interface Run {
  readonly name: string;
  readonly directory: string;
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
  test(`a run ended by ${signal} leaves nothing behind`, { timeout: 60_000 }, async (t) => {
    const child = spawn(process.execPath, [FIXTURE], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const run = JSON.parse(line.toString()) as Run;
    assert.ok((await processesOf(run)).length >= 2, 'containerd and the relay run');
    assert.equal((await namespacesOf(run)).length, 2);
    const inGroups = controlGroups(run.name).flatMap(processesInGroup);
    assert.ok(inGroups.length > 0, 'the pod runs');

    child.kill(signal);
    await once(child, 'exit');
    // Who is killed outright cannot tidy up: the next run does.
    if (signal === 'SIGKILL') sweepStale();

    await waitFor('its processes end', async () => (await processesOf(run)).length === 0);
    assert.deepEqual(await namespacesOf(run), []);
    assert.deepEqual(controlGroups(run.name), [], 'no process of the pod keeps its group');
    assert.ok(!existsSync(run.directory), 'its folder is gone');
    assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(run.directory));
  });
}

async function namespacesOf(run: Run): Promise<string[]> {
  return (await readdir('/run/netns')).filter((name) => name.startsWith(`${run.name}-`));
}

/** Processes with the run's folder in their command line. */
async function processesOf(run: Run): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(`${run.directory}/`)) found.push(command);
  }
  return found;
}
