import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { OciError } from './errors.ts';

describe('OciError', () => {
  it('has the status of its code, and a body in the form of the specification', () => {
    const cause = new Error('containerd is down');
    const error = new OciError('UNAVAILABLE', 'try another', { cause });
    assert.equal(error.status, 503);
    assert.equal(error.cause, cause);
    assert.equal(error.message, 'the mirror cannot answer at present: try another');
    assert.deepEqual(JSON.parse(error.toBody()), {
      errors: [
        {
          code: 'UNAVAILABLE',
          message: 'the mirror cannot answer at present',
          detail: 'try another',
        },
      ],
    });
  });
});
