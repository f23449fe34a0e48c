import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StaticBootstrapper } from '../../routing/bootstrap/static-bootstrapper.ts';
import { Libp2pRouter } from '../../routing/libp2p-router.ts';
import { loadIdentity } from '../../routing/node/identity.ts';
import { freePort } from '../../testing/agent-program.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { silent } from '../../testing/test-network.ts';
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

  it('answers 503 while the router is not started', async (t) => {
    const port = await freePort();
    const config = registryConfig({ 'http-bootstrap-addr': `127.0.0.1:${port}` });
    const stopped = new Libp2pRouter(
      {
        privateKey: await loadIdentity(),
        bootstrapper: new StaticBootstrapper([]),
        logger: silent,
      },
      { listen: [], registryPort: 5000 },
    );
    const part = identityPort(config, stopped);
    assert.ok(part !== undefined);
    await part.start();
    t.after(() => part.stop());
    const response = await fetch(`http://127.0.0.1:${port}/id`);
    assert.equal(response.status, 503);
    assert.deepEqual(await response.json(), { error: 'the router is not started' });
  });
});
