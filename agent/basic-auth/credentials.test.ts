import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { inspect } from 'node:util';

import { BasicAuthError } from './basic-auth-error.ts';
import { Credentials, readCredentials } from './credentials.ts';

const header = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

/** A folder with these files. */
function folder(t: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const path = mkdtempSync(join(tmpdir(), 'basic-auth-'));
  t.after(() => {
    rmSync(path, { recursive: true });
  });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

describe('Credentials', () => {
  const credentials = new Credentials('mirror', 'pa:ß word');

  it('admits the user with the password, as RFC 7617 writes them', () => {
    const right = header('mirror:pa:ß word');
    assert.equal(credentials.authorization.reveal(), right);
    for (const text of [right, right.replace('Basic', 'basic'), right.replace(' ', '  ')]) {
      assert.equal(credentials.admit(text), true, text);
    }
  });

  it('admits nothing else', () => {
    for (const text of [
      ...[undefined, '', 'Basic', 'Basic ', 'Basic Og==', header(''), header('mirror:')],
      ...[header('mirror:pa:ß wor'), header('mirror:pa:ß words'), header('Mirror:pa:ß word')],
      ...['Bearer x', header('mirror:pa:ß word').replace('Basic', 'Bearer'), 'mirror:pa:ß word'],
      `${header('mirror:pa:ß word')}, ${header('a:b')}`,
    ]) {
      assert.equal(credentials.admit(text), false, text);
    }
  });

  it('are in no output', () => {
    for (const text of [inspect(credentials), JSON.stringify({ credentials })]) {
      assert.doesNotMatch(text, /mirror:|word|bWlycm9y|digest/);
    }
  });
});

describe('readCredentials', () => {
  it('reads the files of a Secret, with or without a line break at the end', async (t) => {
    for (const end of ['', '\n', '\r\n']) {
      const path = folder(t, { username: `mirror${end}`, password: ` secret ${end}` });
      const credentials = await readCredentials(path);
      assert.equal(credentials.authorization.reveal(), header('mirror: secret '));
    }
  });

  it('says which file cannot be used, why, and what to do, and nothing of its text', async (t) => {
    const good = { username: 'mirror', password: 'secret' };
    const asFolder = folder(t, { username: 'mirror' });
    mkdirSync(join(asFolder, 'password'));
    for (const [path, message] of [
      ['/nowhere', /^--basic-auth-dir \/nowhere\/username does not exist; the folder must have/],
      [folder(t, { username: 'mirror' }), /\/password does not exist/],
      [asFolder, /\/password is a folder/],
      [folder(t, { ...good, password: '' }), /\/password is empty/],
      [folder(t, { ...good, password: '\n' }), /\/password is empty/],
      [folder(t, { ...good, password: 'secret\nsecond' }), /\/password has a control character/],
      [folder(t, { ...good, username: 'a:b' }), /\/username has a colon/],
      [folder(t, { ...good, password: 'x'.repeat(1025) }), /\/password is too large/],
    ] as const) {
      await assert.rejects(readCredentials(path), (error) => {
        assert.ok(error instanceof BasicAuthError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });
});
