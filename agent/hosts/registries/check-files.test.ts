import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { checkFiles } from './check-files.ts';
import { parseRegistries } from './parse-registries.ts';
import { renderFindings } from './render-findings.ts';

describe('checkFiles', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-registries-'));
    writeFileSync(join(folder, 'ca.crt'), 'x');
    writeFileSync(join(folder, 'empty.key'), '');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('reports missing and unusable files, and the name of a similar file', () => {
    const text = [
      'mirrors: {m.example: , n.example: , o.example: }',
      'configs:',
      '  m.example:',
      '    tls:',
      `      ca_file: ${folder}/ca.cert`,
      `      cert_file: ${folder}`,
      `      key_file: ${folder}/empty.key`,
      '  n.example:',
      '    tls:',
      '      ca_file: ca.crt',
      '  o.example: {tls: {ca_file: /nowhere/ca.crt}}',
      '  m.example:5000:',
      '    tls:',
      '      ca_file: /nowhere/ca.crt',
      '',
    ].join('\n');
    const { findings } = parseRegistries(text, checkFiles);
    const output = renderFindings(
      'F',
      findings.filter(({ severity }) => severity === 'error'),
    );
    assert.equal(
      output,
      `F:5:16: error: the CA file does not exist
  5 |       ca_file: ${folder}/ca.cert
    |                ^
    =       ca_file: "${folder}/ca.crt"

F:6:18: error: the certificate file is not a regular file
  6 |       cert_file: ${folder}
    |                  ^
    =       # cert_file: ${folder}

F:7:17: error: the key file is empty
  7 |       key_file: ${folder}/empty.key
    |                 ^
    =       # key_file: ${folder}/empty.key

F:10:16: error: the CA file needs an absolute path: containerd looks for a relative one below its certs.d
  10 |       ca_file: ca.crt
     |                ^

F:11:30: error: the CA file does not exist
  11 |   o.example: {tls: {ca_file: /nowhere/ca.crt}}
     |                              ^

F:14:16: error: the CA file does not exist
  14 |       ca_file: /nowhere/ca.crt
     |                ^
     =       # ca_file: /nowhere/ca.crt
`,
    );
  });
});
