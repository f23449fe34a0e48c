import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { instrument } from '../http/instrument.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { listen } from '../testing/listen.ts';
import { Credentials } from './credentials.ts';
import { requireCredentials } from './require-credentials.ts';

const credentials = new Credentials('mirror', 'secret');
const authorization = credentials.authorization.reveal();

describe('requireCredentials', () => {
  it('hands over requests with the credentials, and challenges all others', async (t) => {
    let handled = 0;
    const handler = requireCredentials(
      (_, res) => {
        handled += 1;
        res.end('content');
        return Promise.resolve('v2');
      },
      {
        admit: credentials.admit.bind(credentials),
        isExempt: ({ headers }) => headers['x-exempt'] === 'true',
      },
    );
    const origin = await listen(t, instrument(createMetrics(), 'registry', handler));
    for (const headers of [{ authorization }, { 'x-exempt': 'true' }]) {
      const response = await fetch(origin, { headers });
      assert.deepEqual([response.status, await response.text()], [200, 'content']);
    }
    for (const headers of [{}, { authorization: 'Basic Og==' }, { 'x-exempt': 'false' }]) {
      const response = await fetch(`${origin}/v2/`, { headers });
      assert.equal(response.status, 401);
      assert.match(response.headers.get('www-authenticate') ?? '', /^Basic realm="/);
      const { errors } = (await response.json()) as { errors: { code: string }[] };
      assert.equal(errors[0]?.code, 'UNAUTHORIZED');
    }
    assert.equal(handled, 2);
  });
});
