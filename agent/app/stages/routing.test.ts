import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { freePort } from '../../testing/agent-program.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { identityPort } from './routing.ts';

const router = { identityAnswer: () => ({ id: 'me', addrs: [] }) } as never;

describe('identityPort', () => {
  it('is absent without --http-bootstrap-addr', () => {
    assert.equal(identityPort(registryConfig({}), router), undefined);
  });

  it('serves the identity of the router at /id, and nothing else', async () => {
    const port = await freePort();
    const config = registryConfig({ 'http-bootstrap-addr': `127.0.0.1:${port}` });
    const part = identityPort(config, router);
    assert.ok(part !== undefined);
    await part.start();
    try {
      const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);
      assert.deepEqual(await (await get('/id')).json(), { id: 'me', addrs: [] });
      const other = await get('/other');
      assert.equal(other.status, 404);
      assert.deepEqual(await other.json(), { error: 'only /id is served here' });
    } finally {
      await part.stop();
    }
  });
});
