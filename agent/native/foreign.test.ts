import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { openLibc } from './foreign.ts';

describe('openLibc', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  it('calls a function of the C library, also on the thread pool', async () => {
    const getpid = openLibc().find('int getpid()');
    assert.equal(getpid(), process.pid);
    const later = await new Promise((resolve) => {
      getpid.async((_error: Error | null, result: number) => {
        resolve(result);
      });
    });
    assert.equal(later, process.pid);
  });

  it('gives the errno of a failed call', () => {
    const { find, errno } = openLibc();
    assert.equal(find('int close(int fd)')(-1), -1);
    assert.equal(errno(), 9, 'EBADF');
  });

  it('throws for a function that does not exist', () => {
    assert.throws(() => openLibc().find('int no_such_function(int x)'));
  });
});
