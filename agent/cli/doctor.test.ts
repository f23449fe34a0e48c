import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { CHECKS } from '../doctor/checks.ts';
import { PROGRAMS, runProgram } from '../testing/agent-program.ts';

for (const [form, program] of Object.entries(PROGRAMS)) {
  describe(`peerglass doctor, from the ${form}`, () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'peerglass-cli-'));
    });
    after(() => {
      rmSync(folder, { recursive: true });
    });

    it('prints a report of a node where nothing runs, and ends with 1', async () => {
      const words = ['doctor', '--output', 'json', '--metrics-addr', '127.0.0.1:1'];
      const socket = ['--containerd-sock', join(folder, 'none.sock')];
      const { code, stdout, stderr } = await runProgram(program, [...words, ...socket]);
      assert.equal(code, 1, stderr);
      const report = JSON.parse(stdout) as { schema: number; result: string; checks: unknown[] };
      assert.deepEqual([report.schema, report.result], [1, 'failure']);
      assert.deepEqual(Object.keys(report), ['schema', 'version', 'result', 'counts', 'checks']);
      assert.equal(report.checks.length, CHECKS.length);
    });
  });
}
