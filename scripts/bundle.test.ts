import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { bundleAgent } from './bundle.ts';

const root = join(import.meta.dirname, '..');
const execute = promisify(execFile);

describe('bundleAgent', () => {
  let folder = '';
  let outfile = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bundle-'));
    outfile = join(folder, 'agent.mjs');
    await bundleAgent({ root, outfile });
  });
  after(() => rm(folder, { recursive: true }));

  it('has ASCII only: with one other character Node.js keeps two bytes for each', async () => {
    const lines = (await readFile(outfile, 'utf8')).split('\n');
    const others = lines.flatMap((line) => /.{0,20}[^\0-\x7f].{0,20}/.exec(line)?.[0] ?? []);
    assert.deepEqual(others, [], 'write them as \\u escapes, also in regular expressions');
  });

  it('does not load the undici of Node.js', async () => {
    const show = `process.on('exit', () => console.log(process.moduleLoadList.join('\\n')))`;
    const loader = `data:text/javascript,${encodeURIComponent(show)}`;
    const words = ['--import', loader, outfile, 'version'];
    const { stdout } = await execute(process.execPath, words);
    assert.match(stdout, /^NativeModule http$/m, 'the agent loads node:http');
    assert.doesNotMatch(stdout, /undici/);
  });
});
