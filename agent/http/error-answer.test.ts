import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { OciError } from '../oci/errors.ts';
import { listen } from '../testing/listen.ts';
import { parseResponses } from '../testing/raw-http.ts';
import { rawError, writeError } from './error-answer.ts';

const error = new OciError('BLOB_UNKNOWN', 'not here: ä');

describe('writeError', () => {
  it('answers with status and body of the specification, a HEAD without the body', async (t) => {
    const origin = await listen(t, (_req, res) => {
      writeError(res, error);
      return Promise.resolve();
    });
    for (const method of ['GET', 'HEAD']) {
      const response = await fetch(origin, { method });
      assert.equal(response.status, 404);
      assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
      assert.equal(
        response.headers.get('content-length'),
        String(Buffer.byteLength(error.toBody())),
      );
      assert.equal(await response.text(), method === 'GET' ? error.toBody() : '');
    }
  });
});

describe('rawError', () => {
  it('is a whole response that announces the end of the connection', () => {
    const text = Buffer.from(rawError(error)).toString('latin1');
    const [response] = parseResponses(text);
    assert.equal(response?.status, 404);
    assert.equal(response.headers.get('connection'), 'close');
    assert.equal(Buffer.from(response.body, 'latin1').toString(), error.toBody());
  });
});
