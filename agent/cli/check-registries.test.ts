import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { PROGRAMS, runProgram } from '../testing/agent-program.ts';

const GOOD = `mirrors:
  docker.io:
    endpoint: ["https://m.example"]
configs:
  m.example:
    auth: { username: hunter2, password: hunter2 }
`;
const BAD = `mirrors:
  *:
configs:
  m.example:
    auth:
      passwrod: hunter2
`;

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('peerglass check-registries', () => {
  let folder: string;
  let file: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-registries-'));
    file = join(folder, 'registries.yaml');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

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
      [[], 2, /missing required argument 'FILE'/],
      [[file, file], 2, /too many arguments/],
    ] as const) {
      const { code, stdout, stderr } = await runProgram(program, ['check-registries', ...words]);
      assert.equal(code, exit, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, says);
      assert.match(stderr, /^peerglass: [^\n]*\n$/);
    }
    const help = await runProgram(program, ['check-registries', '--help']);
    assert.match(help.stdout, /^Usage: peerglass check-registries FILE \[options\]/);
  });
});
