import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, it, type TestContext } from 'node:test';

import { retry, runCommand } from './command.ts';

describe('runCommand', () => {
  it('returns the standard output, with the given folder and variables', async () => {
    const options = { cwd: tmpdir(), env: { PEERGLASS_TEST: 'value' } };
    const output = await runCommand(['sh', '-c', 'echo $PEERGLASS_TEST; pwd -P'], options);
    assert.match(output, /^value\n\//);
  });

  it('fails with the command and all of its output', async () => {
    const command = ['sh', '-c', 'echo out; echo problem >&2; exit 1'] as const;
    await assert.rejects(runCommand(command), /sh -c .* failed: problem\n+out/s);
  });

  it('kills a command after its time limit', async () => {
    await assert.rejects(runCommand(['sleep', '600'], { timeoutMs: 20 }), /sleep 600 failed/);
  });
});

describe('retry', () => {
  /** Runs work that fails a number of times, with fake time. */
  async function attemptsOf(t: TestContext, failures: number): Promise<[number, unknown]> {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let attempts = 0;
    const result = retry(() => {
      attempts += 1;
      return attempts > failures ? Promise.resolve('done') : Promise.reject(new Error('failed'));
    }).then(
      (value: unknown) => value,
      (error: unknown) => error,
    );
    const pending = Symbol('pending');
    const next = new Promise((resolve) => setImmediate(resolve, pending));
    while ((await Promise.race([result, next])) === pending) {
      await new Promise((resolve) => setImmediate(resolve));
      t.mock.timers.tick(4_000);
      if (attempts > 3) break;
    }
    return [attempts, await result];
  }

  it('tries again after a failure', async (t) => {
    assert.deepEqual(await attemptsOf(t, 2), [3, 'done']);
  });

  it('gives up with the last error after three attempts', async (t) => {
    const [attempts, error] = await attemptsOf(t, 9);
    assert.equal(attempts, 3);
    assert.match(String(error), /failed/);
  });
});
