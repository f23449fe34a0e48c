import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { PROGRAMS, freePort, runProgram, spawnProgram } from '../testing/agent-program.ts';
import { eventually } from '../testing/eventually.ts';
import { useCertsFolder } from '../testing/certs-folder.ts';

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('peerglass cleanup-wait', () => {
  const { folder, where } = useCertsFolder();

  it('waits until the cleanups of all nodes answer several times in a row', async (t) => {
    const port = await freePort();
    const wait = spawnProgram(program, [
      'cleanup-wait',
      ...['--probe-endpoint', `localhost:${port}`, '--period', '20ms', '--threshold', '2'],
    ]);
    t.after(() => wait.kill('SIGKILL'));
    let log = '';
    wait.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    await eventually(() => {
      assert.match(log, /not all nodes have answered/);
    });
    assert.doesNotMatch(log, /all nodes answered/);

    // Every address of the name has to answer, ::1 too where that is one.
    const cleanup = spawnProgram(program, ['cleanup', ...where, '--addr', `:${port}`]);
    t.after(() => cleanup.kill('SIGKILL'));
    cleanup.stderr.resume();
    const [code] = (await once(wait, 'exit')) as [number];
    assert.equal(code, 0, log);
    assert.equal(log.match(/all nodes answered/g)?.length, 2);
    assert.equal((await fetch(`http://localhost:${port}/other`)).status, 404);
    cleanup.kill('SIGTERM');
    const [ended] = (await once(cleanup, 'exit')) as [number];
    assert.equal(ended, 0);
  });

  it(
    'starts to count again when a slow node appears',
    { skip: process.getuid?.() === 0 ? false : 'NOT TESTED: a private /etc/hosts needs root' },
    async (t) => {
      const port = await freePort();
      const names = join(folder, 'names');
      writeFileSync(names, '127.0.0.2 nodes\n');
      for (const address of ['127.0.0.2', '127.0.0.3']) {
        const cleanup = spawnProgram(program, [
          ...['cleanup', ...where, '--addr', `${address}:${port}`],
        ]);
        t.after(() => cleanup.kill('SIGKILL'));
        const [said] = (await once(cleanup.stderr, 'data')) as [Buffer];
        assert.match(said.toString(), /cleaned up/);
      }
      const script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
      const flags = ['--probe-endpoint', `nodes:${port}`, '--threshold', '20', '--period', '100ms'];
      const wait = spawn(
        'unshare',
        [
          ...['--mount', 'sh', '-c', script, 'sh', names],
          ...[process.execPath, program, 'cleanup-wait', ...flags],
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      t.after(() => wait.kill('SIGKILL'));
      let log = '';
      wait.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
      await eventually(() => {
        assert.match(log, /"nodes":1,"msg":"all nodes answered"/);
      });
      appendFileSync(names, '127.0.0.3 nodes\n');
      const [code] = (await once(wait, 'exit')) as [number];
      assert.equal(code, 0, log);
      assert.equal(log.match(/"nodes":2,"msg":"all nodes answered"/g)?.length, 20, log);
    },
  );

  for (const [args, says] of [
    [[], /--probe-endpoint NAME:PORT is needed/],
    [['--probe-endpoint', ':1'], /--probe-endpoint NAME:PORT is needed/],
    [['--probe-endpoint', 'a:1', '--threshold', '0'], /at least 1/],
  ] as const) {
    it(`refuses to wait without an endpoint or a threshold: ${args.join(' ')}`, async () => {
      const { code, stderr } = await runProgram(program, ['cleanup-wait', ...args]);
      assert.equal(code, 2);
      assert.match(stderr, says);
    });
  }

  it('fails when a node does not answer within --wait-timeout, and says which', async () => {
    const port = await freePort();
    const { code, stderr } = await runProgram(program, [
      'cleanup-wait',
      ...['--probe-endpoint', `127.0.0.1:${port}`, '--period', '20ms', '--wait-timeout', '100ms'],
    ]);
    assert.equal(code, 1);
    const last = stderr.trim().split('\n').at(-1) ?? '';
    assert.match(last, /--wait-timeout is over, and not all nodes are cleaned up: .*ECONNREFUSED/);
    assert.ok(last.includes(`http://127.0.0.1:${port}/readyz`), last);
  });

  it('fails when the rounds in a row are not over within --wait-timeout', async (t) => {
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const cleanup = spawnProgram(program, ['cleanup', ...where, '--addr', address]);
    t.after(() => cleanup.kill('SIGKILL'));
    const [said] = (await once(cleanup.stderr, 'data')) as [Buffer];
    assert.match(said.toString(), /cleaned up/);
    const { code, stderr } = await runProgram(program, [
      'cleanup-wait',
      ...['--probe-endpoint', address, '--period', '20ms', '--wait-timeout', '200ms'],
      ...['--threshold', '100000'],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /are cleaned up: all answered, but only \d+ times in a row/);
  });

  it('ends with 1 on SIGTERM while it waits', async () => {
    const wait = spawnProgram(program, ['cleanup-wait', '--probe-endpoint', '127.0.0.1:1']);
    await once(wait.stderr, 'data');
    wait.stderr.resume();
    wait.kill('SIGTERM');
    const [code] = (await once(wait, 'exit')) as [number];
    assert.equal(code, 1);
  });
});
