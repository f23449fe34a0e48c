import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

import { doctorStage } from '../testing/doctor-facts.ts';
import { NoRegularFileError, readRegularFile } from './regular-file.ts';

describe('readRegularFile', () => {
  it('reads a file up to the bound, and refuses a larger one', async (t) => {
    const { write } = await doctorStage(t, undefined);
    const file = write('file', 'text');
    assert.equal(await readRegularFile(file, 4), 'text');
    await assert.rejects(readRegularFile(file, 3), NoRegularFileError);
  });

  it('refuses a folder, a pipe and a device without opening them', async (t) => {
    const { path, write } = await doctorStage(t, undefined);
    write('folder/file', '');
    assert.equal(spawnSync('mkfifo', [path('pipe')]).status, 0);
    for (const other of [path('folder'), path('pipe'), '/dev/zero']) {
      await assert.rejects(readRegularFile(other), { code: 'ERR_NO_REGULAR_FILE' }, other);
    }
  });

  it('fails with the code of the system for a missing file', async () => {
    await assert.rejects(readRegularFile('/nowhere/file'), { code: 'ENOENT' });
  });
});
