import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { useCertsFolder } from '../testing/certs-folder.ts';
import { editedFiles } from './edited-files.ts';
import { HostsConfigError } from './hosts-error.ts';
import { seal } from './marker.ts';

describe('editedFiles', () => {
  const { certs } = useCertsFolder();

  it('names files of ours that were edited, and no others', async () => {
    const sealed = seal('', { folder: 'a.example', madeFolder: true, k3s: false });
    for (const [name, text] of [
      ['a.example', sealed],
      ['b.example', 'server = "https://b.example"\n'],
      ['c.example', undefined],
    ] as const) {
      mkdirSync(join(certs, name));
      if (text !== undefined) writeFileSync(join(certs, name, 'hosts.toml'), text);
    }
    symlinkSync('/nowhere', join(certs, 'd.example'));
    writeFileSync(join(certs, 'a file'), '');
    assert.deepEqual(await editedFiles(certs), []);
    const file = join(certs, 'a.example/hosts.toml');
    appendFileSync(file, '# mine\n');
    assert.deepEqual(await editedFiles(certs), [file]);
  });

  it('fails for a folder that cannot be read', async () => {
    await assert.rejects(editedFiles(join(certs, 'none')), HostsConfigError);
  });
});
