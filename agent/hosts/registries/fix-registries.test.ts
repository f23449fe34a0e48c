import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import fc from 'fast-check';

import { WHOLE_REGISTRIES } from '../../testing/registry-findings.ts';
import { checkFiles } from './check-files.ts';
import { RegistriesError } from './finding.ts';
import { changedLines, fixRegistries, replaceRegistriesFile } from './fix-registries.ts';
import { parseRegistries } from './parse-registries.ts';

describe('fixRegistries', () => {
  it('makes corrections until there are no more, and leaves choices', () => {
    const text =
      'mirrors:\n*:\nendpoint:\n- m.example:5000\n- http://n.example\nconfigs:\nn.example:\ntls:\ninsecureskipverify: true\n';
    const fixed = fixRegistries(text);
    assert.equal(
      fixed,
      'mirrors:\n  "*":\n    endpoint:\n      - "https://m.example:5000"\n      - http://n.example\nconfigs:\n  n.example:\n    tls:\n      insecure_skip_verify: true\n',
    );
    assert.deepEqual(
      parseRegistries(fixed).findings.map(({ code }) => code),
      ['tls-on-http'],
    );
    assert.equal(changedLines(text, fixed), 7);
  });

  it('does not write two maps where both keys belong into one', () => {
    const text =
      'mirrors:\n  a.example:\n    endpoints: []\nconfigs:\n  a.example:\n    password: hunter2\n    username: someone\n';
    assert.equal(fixRegistries(text), text.replace('endpoints', 'endpoint'));
    const alone =
      'mirrors:\n  a.example:\nconfigs:\n  a.example:\n    insecure_skip_verify: true\n';
    assert.match(fixRegistries(alone), /tls: \{ insecure_skip_verify: true \}\n$/);
  });

  for (const [what, value] of [
    ['a quote that a later line closes', 'password: "abc\n        def"'],
    ['a block', 'password: |-\n        "abc'],
    ['a value with a second line', 'password: abc\n        def'],
    ['a quote in front of a comment', 'password: "http://x # c'],
  ]) {
    it(`does not change ${what ?? ''} while it repairs another line`, () => {
      const text = `mirrors:\n  *:\nconfigs:\n  a.example:\n    auth:\n      ${value ?? ''}\n`;
      const fixed = fixRegistries(text);
      assert.ok(fixed.includes(value ?? ''), fixed);
    });
  }

  it('leaves a misspelt key where the right one is there too, and corrects the rest', () => {
    const text =
      'mirrors:\n  *:\n    endpoint: ["https://a.example"]\n    endpoints: ["https://b.example"]\n';
    assert.equal(fixRegistries(text), text.replace('*', '"*"'));
  });

  it('does not write another file for a certificate that is missing', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'peerglass-fix-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    writeFileSync(join(folder, 'ca2.crt'), 'x');
    const text = `configs:\n  a.example:\n    tls:\n      ca_file: ${folder}/ca1.crt\n`;
    assert.equal(fixRegistries(text, checkFiles), text);
  });

  it('undoes a loss of indentation, and never adds a fatal error', () => {
    const lines = WHOLE_REGISTRIES.split('\n').length;
    const fatal = (text: string): number =>
      parseRegistries(text).findings.filter((finding) => finding.fatal).length;
    fc.assert(
      fc.property(fc.array(fc.nat({ max: lines }), { maxLength: lines }), (flat) => {
        const text = WHOLE_REGISTRIES.split('\n')
          .map((line, index) => (flat.includes(index) ? line.trimStart() : line))
          .join('\n');
        const fixed = fixRegistries(text);
        assert.ok(fatal(fixed) <= fatal(text));
        assert.equal(fixRegistries(fixed), fixed);
      }),
      { numRuns: 100 },
    );
  });
});

describe('replaceRegistriesFile', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-fix-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('keeps the mode of the file and a link to it, and leaves nothing else behind', () => {
    const [file, link] = [join(folder, 'registries.yaml'), join(folder, 'link')];
    writeFileSync(file, 'old');
    chmodSync(file, 0o640);
    symlinkSync(file, link);
    replaceRegistriesFile(link, 'new');
    assert.equal(readFileSync(file, 'utf8'), 'new');
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.deepEqual(readdirSync(folder).toSorted(), ['link', 'registries.yaml']);
  });

  it('says which file cannot be written, and leaves nothing behind', () => {
    const path = join(folder, 'none', 'registries.yaml');
    assert.throws(
      () => {
        replaceRegistriesFile(path, 'new');
      },
      (error) => error instanceof RegistriesError && error.message.includes(`${path}: cannot be`),
    );
  });

  it('says that a folder of another user needs root', () => {
    const path = join(folder, 'registries.yaml');
    writeFileSync(path, 'old');
    chmodSync(folder, 0o555);
    if (process.getuid?.() === 0) process.seteuid?.(65_534);
    try {
      assert.throws(
        () => {
          replaceRegistriesFile(path, 'new');
        },
        new RegistriesError(`${path}: cannot be written: not permitted; this needs root`),
      );
    } finally {
      if (process.getuid?.() === 0) process.seteuid?.(0);
      chmodSync(folder, 0o755);
    }
    assert.equal(readFileSync(path, 'utf8'), 'old');
  });

  it(
    'says that a file which is mounted is changed where it comes from',
    { skip: process.getuid?.() === 0 ? false : 'NOT TESTED: a mount needs root' },
    () => {
      const path = join(folder, 'mounted.yaml');
      writeFileSync(path, 'old');
      execFileSync('mount', ['--bind', path, path]);
      try {
        assert.throws(() => {
          replaceRegistriesFile(path, 'new');
        }, /mounted\.yaml: cannot be written: a mount point; change what is mounted there/);
      } finally {
        execFileSync('umount', [path]);
      }
    },
  );
});
