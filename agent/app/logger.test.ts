import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import { PROGRAMS, spawnProgram } from '../testing/agent-program.ts';

/** Starts an agent without containerd, and gives what it logs of the error. */
async function loggedError(level: string): Promise<Record<string, unknown>> {
  const child = spawnProgram(PROGRAMS.sources, [
    'registry',
    ...['--containerd-sock', '/nonexistent/containerd.sock', '--log-level', level],
    ...['--registry-addr', '127.0.0.1:0', '--router-addr', '127.0.0.1:0'],
    ...['--metrics-addr', '127.0.0.1:0', '--registries-yaml', 'off'],
  ]);
  const ended = once(child, 'exit');
  try {
    let text = '';
    for await (const chunk of child.stderr) {
      text += String(chunk);
      const line = text
        .split('\n')
        .slice(0, -1)
        .find((it) => it.includes('out of reach'));
      if (line !== undefined) {
        return (JSON.parse(line) as { err: Record<string, unknown> }).err;
      }
    }
    assert.fail(`no such line: ${text}`);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

describe('createLogger', () => {
  it('logs an error once with its cause, and its stack at level DEBUG only', async () => {
    const { type, message, code, ...more } = await loggedError('INFO');
    assert.deepEqual([type, code], ['StoreUnavailableError', 'ERR_STORE_UNAVAILABLE']);
    assert.equal(String(message).split('/nonexistent/containerd.sock').length, 2, String(message));
    assert.deepEqual(more, {});
    assert.match(String((await loggedError('DEBUG'))['stack']), /\n +at /);
  });
});
