import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { PROGRAMS, runProgram, spawnProgram } from '../testing/agent-program.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { useCertsFolder } from '../testing/certs-folder.ts';

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('peerglass cleanup', () => {
  const { folder, certs, where } = useCertsFolder();

  it(
    'keeps the copy of the authority while an edited hosts.toml names it, because containerd fails without it',
    { skip: noOpenssl },
    async () => {
      await using authority = await Authority.create();
      const copy = join(certs, '.peerglass-ca.crt');
      await runProgram(program, [
        ...['configuration', ...where, '--mirror-targets', 'https://127.0.0.1:30020'],
        ...['--mirror-target-ca-copy', authority.ca],
      ]);
      const file = join(certs, '_default/hosts.toml');
      appendFileSync(file, '# mine\n');
      const kept = await runProgram(program, ['cleanup', ...where]);
      assert.equal(kept.code, 0, kept.stderr);
      assert.match(readFileSync(file, 'utf8'), /# mine\n$/);
      assert.deepEqual(readFileSync(copy), readFileSync(authority.ca));
      assert.match(kept.stderr, /authority of the mirror is kept/);
      rmSync(file);
      const gone = await runProgram(program, ['cleanup', ...where]);
      assert.equal(gone.code, 0, gone.stderr);
      assert.ok(!existsSync(copy), 'no file names it any more');
    },
  );

  it('names each edited file that stays, and says that it does', async () => {
    const mirror = ['--mirror-targets', 'http://127.0.0.1:5000'];
    const named = ['--mirrored-registries', 'a.example', 'b.example'];
    await runProgram(program, ['configuration', ...where, ...mirror, ...named]);
    const file = join(certs, 'a.example/hosts.toml');
    appendFileSync(file, '# mine\n');
    const { code, stderr } = await runProgram(program, ['cleanup', ...where]);
    assert.equal(code, 0, stderr);
    const lines = stderr.trim().split('\n');
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const [stays, ...others] = parsed.filter(({ level }) => level === 'warn');
    assert.equal(stays?.['path'], file);
    assert.match(String(stays['msg']), /this file stays, because it was edited/);
    assert.deepEqual(others, []);
    const { restored, edited, msg } = parsed.at(-1) ?? {};
    assert.deepEqual([restored, edited, msg], [1, 1, 'cleaned up, except for edited files']);
    assert.deepEqual(readdirSync(certs), ['a.example']);
  });

  it('fails where there is no such folder, except as the uninstaller of a cluster', async () => {
    const missing = join(certs, 'mistyped');
    const args = ['cleanup', '--containerd-registry-config-path', missing];
    const { code, stderr } = await runProgram(program, args);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^peerglass: ${missing}: no such folder, .* right\\?\n$`));
    const serving = spawnProgram(program, [...args, '--addr', '127.0.0.1:0']);
    try {
      let log = '';
      for await (const chunk of serving.stderr) {
        log += String(chunk);
        if (log.includes('"cleaned up"')) break;
      }
      assert.match(log, /"level":"warn".*no such folder/);
      assert.equal(serving.exitCode, null);
    } finally {
      serving.kill('SIGKILL');
    }
  });

  it('removes the files of an agent from --data-dir, and no others', async () => {
    const data = join(folder, 'data');
    const cleanup = ['cleanup', ...where, '--data-dir', data];
    mkdirSync(data);
    const ours = ['private.key', 'private.key.0a1b.tmp', 'verdicts', 'verdicts.tmp'];
    for (const name of [...ours, 'private.key.bak']) writeFileSync(join(data, name), name);
    const kept = await runProgram(program, cleanup);
    assert.equal(kept.code, 0, kept.stderr);
    assert.match(kept.stderr, /"dataGone":false/);
    assert.deepEqual(readdirSync(data), ['private.key.bak']);
    rmSync(join(data, 'private.key.bak'));
    for (let run = 0; run < 2; run += 1) {
      const gone = await runProgram(program, cleanup);
      assert.equal(gone.code, 0, gone.stderr);
      assert.match(gone.stderr, /"dataGone":true/);
      assert.ok(!existsSync(data));
    }
    writeFileSync(data, '');
    const failed = await runProgram(program, cleanup);
    rmSync(data);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /ENOTDIR/);
  });
});
