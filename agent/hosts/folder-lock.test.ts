import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { LOCK, lockFolder } from './folder-lock.ts';
import { HostsConfigError } from './hosts-error.ts';

const never = new AbortController().signal;
const locks = (folder: string): string[] =>
  readdirSync(folder).filter((name) => name.startsWith(LOCK));

describe('lockFolder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-lock-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const lock = (waitMs: number, silenceMs = 60_000): Promise<AsyncDisposable> =>
    lockFolder(folder, { waitMs, silenceMs }, never);

  it('gives the lock to one holder at a time, and leaves no files', async () => {
    let holders = 0;
    let turns = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const held = await lock(60_000);
        holders += 1;
        assert.equal(holders, 1);
        await new Promise((resolve) => setTimeout(resolve, 5));
        holders -= 1;
        turns += 1;
        await held[Symbol.asyncDispose]();
      }),
    );
    assert.equal(turns, 8);
    assert.deepEqual(locks(folder), []);
  });

  it('is refused while another process holds the lock, and names that process', async () => {
    const held = await lock(0);
    await assert.rejects(lock(50), (error) => {
      assert.ok(error instanceof HostsConfigError);
      assert.match(error.message, new RegExp(`another process is configuring .*-${process.pid}-`));
      return true;
    });
    assert.equal(locks(folder).length, 1, 'the file of the holder');
    await held[Symbol.asyncDispose]();
    await (await lock(0))[Symbol.asyncDispose]();
  });

  it('ignores the lock of a process that was killed', async () => {
    const program = [
      `import { lockFolder } from ${JSON.stringify(join(import.meta.dirname, 'folder-lock.ts'))};`,
      `await lockFolder(${JSON.stringify(folder)}, {}, new AbortController().signal);`,
      `console.log('held');`,
    ].join('\n');
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await assert.rejects(lock(50), HostsConfigError, 'while it lives');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lock(0))[Symbol.asyncDispose]();
    assert.deepEqual(locks(folder), []);
  });

  it('ignores a lock of another boot, and of a PID that was reused', async () => {
    const held = await lock(0);
    const [own = ''] = locks(folder);
    await held[Symbol.asyncDispose]();
    const [boot = '', namespace = '', pid = '', start = ''] = own.slice(LOCK.length).split(/[-.]/);
    writeFileSync(join(folder, `${LOCK}deadbeef-${namespace}-${pid}-${start}.x`), '');
    writeFileSync(join(folder, `${LOCK}${boot}-${namespace}-${pid}-1.x`), '');
    await (await lock(0))[Symbol.asyncDispose]();
    assert.deepEqual(locks(folder), []);
  });

  it('waits for a process in another container until its heartbeats stop', async () => {
    const held = await lock(0);
    const [own = ''] = locks(folder);
    await held[Symbol.asyncDispose]();
    const [boot = ''] = own.slice(LOCK.length).split('-');
    const other = join(folder, `${LOCK}${boot}-1-1-1.x`);
    writeFileSync(other, '');
    await assert.rejects(lock(50), HostsConfigError);
    await (await lock(60_000, 200))[Symbol.asyncDispose]();
    assert.deepEqual(locks(folder), []);
  });

  it('stops waiting when the signal is aborted', async () => {
    const held = await lock(0);
    const stop = new AbortController();
    const waiting = lockFolder(folder, {}, stop.signal);
    stop.abort(new Error('ended'));
    await assert.rejects(waiting, /ended/);
    await held[Symbol.asyncDispose]();
    assert.deepEqual(locks(folder), []);
  });
});
