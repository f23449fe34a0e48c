import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { doctorStage } from '../../testing/doctor-facts.ts';
import { mayOpen, processBehind, sharesNamespace } from './process.ts';

async function listen(t: TestContext): Promise<string> {
  const { path } = await doctorStage(t, undefined);
  const socketPath = path('c.sock');
  const server = createServer((socket) => socket.resume()).listen(socketPath);
  await once(server, 'listening');
  t.after(() => server.close());
  return socketPath;
}

describe('processBehind', () => {
  it('finds the process that listens on the socket, with its command line', async (t) => {
    const { pid, command } = await processBehind(await listen(t));
    assert.equal(pid, process.pid);
    assert.ok(
      command.some((word) => word.endsWith('process.test.ts')),
      command.join(' '),
    );
  });

  it('skips the check when nothing listens', async () => {
    await assert.rejects(processBehind('/nowhere/c.sock'), {
      code: 'ERR_CHECK_SKIPPED',
      message: /cannot be found: .*ENOENT/,
    });
  });
});

describe('mayOpen', () => {
  it('resolves when the socket can be opened, and fails with the code of the system otherwise', async (t) => {
    await mayOpen(await listen(t));
    await assert.rejects(mayOpen('/nowhere/c.sock'), { code: 'ENOENT' });
  });
});

describe('sharesNamespace', () => {
  it('is true for this process, and unknown for a process that does not exist', async () => {
    assert.equal(await sharesNamespace(process.pid, 'net'), true);
    assert.equal(await sharesNamespace(2 ** 30, 'net'), undefined);
  });
});
