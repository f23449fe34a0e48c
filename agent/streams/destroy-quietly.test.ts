import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { destroyQuietly } from './destroy-quietly.ts';

describe('destroyQuietly', () => {
  it('destroys a stream, also one that then fails without another listener', async () => {
    const stream = new Readable({
      read: () => undefined,
      destroy(_error, done) {
        done(new Error('cancelled'));
      },
    });
    destroyQuietly(stream);
    if (!stream.closed) await once(stream, 'close');
    assert.match(String(stream.errored), /cancelled/);
  });
});
