import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { RegistriesError } from './finding.ts';
import { findRegistriesFile, readRegistriesFile } from './registries-file.ts';

describe('readRegistriesFile and findRegistriesFile', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-registries-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('refuse a file of 10 MB without reading it', () => {
    const path = join(folder, 'large.yaml');
    writeFileSync(path, '');
    truncateSync(path, 10_000_000);
    assert.throws(() => readRegistriesFile(path), /10000000 bytes; .* more than 1 MiB is not read/);
    truncateSync(path, 2 ** 40);
    assert.throws(() => readRegistriesFile(path), RegistriesError, 'larger than the memory');
  });

  it('refuse a file that is missing or not text, and name it', () => {
    const path = join(folder, 'latin1.yaml');
    writeFileSync(path, Buffer.from([0x61, 0xe4]));
    assert.throws(() => readRegistriesFile(path), /latin1\.yaml: not UTF-8 text/);
    assert.throws(() => readRegistriesFile(folder), /not a regular file/);
    assert.throws(() => readRegistriesFile(join(folder, 'none')), /none: cannot be read: no such/);
    assert.equal(findRegistriesFile([join(folder, 'none'), path]), path);
    assert.equal(findRegistriesFile([join(folder, 'none')]), undefined);
    const loop = join(folder, 'loop.yaml');
    symlinkSync(loop, loop);
    assert.equal(findRegistriesFile([loop]), loop, 'not skipped as if it did not exist');
    assert.throws(() => readRegistriesFile(loop), RegistriesError);
  });
});
