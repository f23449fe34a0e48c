import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { runTool, template } from './helm.ts';
import { missing } from './tools.ts';

describe('runTool', () => {
  it('passes the input, and returns the output', async () => {
    assert.equal(await runTool('tr', ['a-z', 'A-Z'], 'text'), 'TEXT');
  });

  it('fails with the output of the program, or if the program is missing', async () => {
    const script = 'echo reason >&2; echo more; exit 3';
    await assert.rejects(runTool('sh', ['-c', script], ''), /reason\nmore/);
    await assert.rejects(runTool('/nowhere/program', [], ''), { code: 'ENOENT' });
  });

  it('survives a program that does not read its input', async () => {
    assert.equal(await runTool('true', [], 'x'.repeat(1 << 20)), '');
  });
});

describe('template', { skip: missing('helm') ?? false }, () => {
  it('renders objects, and fails with the message of helm', async () => {
    const kinds = (await template({}, '1.34')).map(({ kind }) => kind);
    assert.ok(kinds.includes('DaemonSet'));
    await assert.rejects(template({ peerglass: { logLevle: 'x' } }, '1.34'), /logLevle/);
  });
});
