import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listen } from '../testing/listen.ts';
import { sendJson } from './send-json.ts';

describe('sendJson', () => {
  it('sends a line of JSON with its length in bytes', async (t) => {
    const origin = await listen(t, (_req, res) => {
      sendJson(res, 404, { error: 'ä' });
      return Promise.resolve();
    });
    const response = await fetch(origin);
    assert.equal(response.status, 404);
    assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
    assert.equal(response.headers.get('content-length'), '15');
    assert.equal(await response.text(), '{"error":"ä"}\n');
  });
});
