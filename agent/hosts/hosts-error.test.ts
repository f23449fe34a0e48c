import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { HostsConfigError, asHostsError } from './hosts-error.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code, syscall: 'open', path: '/certs.d/file' });
}

describe('asHostsError', () => {
  it('gives the reason and the remedy of an error of the file system', () => {
    const error = asHostsError(systemError('EROFS'), 'cannot write /certs.d');
    assert.ok(error instanceof HostsConfigError);
    assert.match(error.message, /^cannot write \/certs\.d: the file system is read-only; mount/);
  });

  it('names the file of a missing permission, but not of a full disk', () => {
    const messageOf = (code: string): string =>
      String(asHostsError(systemError(code), 'cannot write'));
    assert.match(messageOf('EACCES'), /cannot write, \/certs\.d\/file: not permitted/);
    assert.doesNotMatch(messageOf('ENOSPC'), /file/);
    assert.match(messageOf('EIO'), /cannot write: EIO$/);
  });

  it('keeps the cause, and returns other errors as they are', () => {
    const other = new TypeError('other');
    assert.equal(asHostsError(other, 'x'), other);
    assert.equal(asHostsError('text', 'x'), 'text');
    try {
      readFileSync('/nowhere/file');
      assert.fail();
    } catch (cause) {
      assert.equal((asHostsError(cause, 'x') as Error).cause, cause);
    }
  });
});
