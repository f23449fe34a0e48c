import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { PROGRAMS, runProgram } from '../testing/agent-program.ts';
import { BAD, GOOD, useRegistriesFile } from '../testing/registries-file.ts';

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('peerglass check-registries', () => {
  const { folder, file } = useRegistriesFile();

  it('prints which registries a correct file mirrors, and ends with 0', async () => {
    writeFileSync(file, GOOD);
    const { code, stdout, stderr } = await runProgram(program, ['check-registries', file]);
    assert.deepEqual([code, stdout, stderr], [0, `${file}: ok, mirrors docker.io\n`, '']);
  });

  it('prints each finding with its place and a correction, and ends with 1 for errors', async () => {
    writeFileSync(file, BAD);
    const { code, stdout, stderr } = await runProgram(program, ['check-registries', file]);
    assert.equal(code, 1, stderr);
    assert.equal(
      stdout,
      `${file}:2:3: error: the star needs quotes: YAML reads it as an alias
  2 |   *:
    |   ^
    =   "*":

${file}:4:3: warning: "m.example" is neither an endpoint nor a registry under mirrors; it is used only for images whose name begins with it
  4 |   m.example:
    |   ^

${file}:6:7: error: k3s does not know "passwrod" under auth, and ignores it; did you mean password?
  6 |       passwrod: [hidden]
    |       ^
    =       password: [hidden]

${file}: 2 errors, 1 warning
`,
    );
  });

  it('ends with 0 for warnings alone', async () => {
    writeFileSync(file, 'mirrors:\n  index.docker.io:\n');
    const { code, stdout } = await runProgram(program, ['check-registries', file]);
    assert.equal(code, 0);
    assert.match(stdout, /: warning: .*\n(.*\n)*.*: 0 errors, 1 warning\n$/);
  });

  it('prints the same findings as JSON with --output json', async () => {
    writeFileSync(file, BAD);
    const words = ['check-registries', file, '--output', 'json'];
    const { code, stdout } = await runProgram(program, words);
    assert.equal(code, 1);
    const report = JSON.parse(stdout) as { errors: number; findings: object[] };
    assert.equal(report.errors, 2);
    assert.deepEqual(report.findings[0], {
      severity: 'error',
      code: 'unquoted-star',
      line: 2,
      column: 3,
      message: 'the star needs quotes: YAML reads it as an alias',
      source: '  *:',
      correction: '  "*":',
    });
    assert.doesNotMatch(stdout, /hunter2/);
  });

  it('refuses a missing or too large file, and wrong usage, in one line', async () => {
    const large = join(folder, 'large.yaml');
    writeFileSync(large, '');
    truncateSync(large, 10_000_000);
    for (const [words, exit, says] of [
      [[join(folder, 'none')], 1, /none: cannot be read: no such file/],
      [[large], 1, /large\.yaml: 10000000 bytes; .* is not read/],
      [['--fix', '-'], 2, /--fix writes files, not standard input/],
    ] as const) {
      const { code, stdout, stderr } = await runProgram(program, ['check-registries', ...words]);
      assert.equal(code, exit, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, says);
      assert.match(stderr, /^peerglass: [^\n]*\n$/);
    }
    const help = await runProgram(program, ['check-registries', '--help']);
    assert.match(help.stdout, /^Usage: peerglass check-registries \[FILE \.\.\.\] \[options\]/);
  });

  it('checks several files, and those that can be read although another cannot', async () => {
    const other = join(folder, 'other.yaml');
    writeFileSync(file, GOOD);
    writeFileSync(other, BAD);
    const words = ['check-registries', file, join(folder, 'none'), other];
    const { code, stdout, stderr } = await runProgram(program, words);
    assert.equal(code, 1);
    assert.match(stderr, /^peerglass: .*none: cannot be read[^\n]*\n$/);
    assert.match(stdout, /registries\.yaml: ok, mirrors docker\.io\n/);
    assert.match(stdout, /other\.yaml: 2 errors, 1 warning\n$/);
    const json = await runProgram(program, ['check-registries', file, other, '--output=json']);
    const reports = JSON.parse(json.stdout) as { file: string; errors: number }[];
    assert.deepEqual(
      reports.map(({ file: name, errors }) => [name, errors]),
      [
        [file, 0],
        [other, 2],
      ],
    );
    const one = await runProgram(program, [...words, '--output=json']);
    assert.equal((JSON.parse(one.stdout) as unknown[]).length, 2);
    const sole = ['check-registries', file, join(folder, 'none'), '--output=json'];
    assert.equal((JSON.parse((await runProgram(program, sole)).stdout) as unknown[]).length, 1);
  });

  it('reads standard input', () => {
    const words = [program, 'check-registries', '-'];
    const ok = spawnSync(process.execPath, words, { input: GOOD, encoding: 'utf8' });
    assert.deepEqual([ok.status, ok.stdout], [0, 'stdin: ok, mirrors docker.io\n']);
    const bad = spawnSync(process.execPath, words, { input: BAD, encoding: 'utf8' });
    assert.equal(bad.status, 1);
    assert.match(bad.stdout, /^stdin:2:3: error: the star needs quotes/);
    const large = spawnSync(process.execPath, words, {
      input: Buffer.alloc(2_000_000, '#'),
      encoding: 'utf8',
    });
    assert.equal(large.status, 1);
    assert.match(large.stderr, /^peerglass: stdin: .* is not read\n$/);
  });

  it('writes its corrections with --fix, credentials included, and lists the remaining findings', async () => {
    writeFileSync(file, BAD);
    chmodSync(file, 0o600);
    const { code, stdout, stderr } = await runProgram(program, ['check-registries', '--fix', file]);
    assert.equal(code, 1, stderr);
    assert.equal(
      readFileSync(file, 'utf8'),
      BAD.replace('*:', '"*":').replace('passwrod', 'password'),
    );
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(stdout, /error: password without username/);
    assert.match(stdout, /: 2 lines corrected; 1 error, 1 warning\n$/);
    assert.doesNotMatch(stdout, /hunter2/);
    const again = await runProgram(program, ['check-registries', '--fix', file]);
    assert.match(again.stdout, /registries\.yaml: 1 error, 1 warning\n$/);
  });

  it(
    "takes the file of this node's k3s when none is named",
    { skip: process.getuid?.() === 0 ? false : 'NOT TESTED: a private /etc/rancher needs root' },
    () => {
      const script =
        'mkdir -p "$1/rancher/k3s" && cp "$2" "$1/rancher/k3s/" && mount -t tmpfs tmpfs /etc && cp -r "$1/rancher" /etc/ && shift 2 && exec "$@"';
      writeFileSync(file, GOOD);
      const run = (...words: string[]) =>
        spawnSync('unshare', ['--mount', 'sh', '-c', ...words], {
          encoding: 'utf8',
          env: { PATH: process.env['PATH'] },
        });
      const check = [process.execPath, program, 'check-registries'];
      const found = run(script, 'sh', folder, file, ...check);
      const path = '/etc/rancher/k3s/registries.yaml';
      assert.equal(found.stdout, `${path}: ok, mirrors docker.io\n`, found.stderr);
      const none = run('mount -t tmpfs tmpfs /etc && exec "$@"', 'sh', ...check);
      assert.equal(none.status, 2);
      assert.match(none.stderr, /^peerglass: neither k3s nor RKE2 has .*name a FILE/);
    },
  );
});
