import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { PROGRAMS, runProgram } from '../testing/agent-program.ts';

const run = (...words: readonly string[]) => runProgram(PROGRAMS.sources, ['swarm-key', ...words]);

describe('peerglass swarm-key', () => {
  it('prints another key each time, in the form of libp2p', async () => {
    const [first, second] = [await run(), await run()];
    assert.equal(first.code, 0);
    assert.match(first.stdout, /^\/key\/swarm\/psk\/1\.0\.0\/\n\/base16\/\n[0-9a-f]{64}\n$/);
    assert.notEqual(first.stdout, second.stdout);
    assert.equal(first.stderr, '');
  });

  it('prints the key of a passphrase, the same each time', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'swarm-key-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, 'passphrase');
    await writeFile(file, 'correct horse battery staple and more\n');
    const { stdout } = await run('--from', file);
    assert.match(stdout, /\n250a9f90753089b60c16f1bf354a21311988beb888f2665cf8301c39b9f36881\n$/);
    assert.equal((await run('--from', file)).stdout, stdout);
  });

  it('says what is wrong with a file', async () => {
    const { code, stdout, stderr } = await run('--from', '/nonexistent/key');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^peerglass: --from \/nonexistent\/key does not exist/);
  });
});
