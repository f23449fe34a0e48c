import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { freePort } from '../testing/agent-program.ts';
import { serve, serveAgent } from '../testing/doctor-facts.ts';
import { AgentClient } from './agent-client.ts';
import { CheckSkippedError } from './report.ts';

async function clientOf(
  t: TestContext,
  answers: Readonly<Record<string, unknown>>,
): Promise<AgentClient> {
  return new AgentClient(await serveAgent(t, answers));
}

describe('AgentClient', () => {
  it('uses loopback for an address without a host or with all addresses', () => {
    for (const host of ['', '0.0.0.0', '::']) {
      assert.equal(new AgentClient({ host, port: 1 }).origin, 'http://127.0.0.1:1');
    }
    assert.equal(new AgentClient({ host: 'fd00::1', port: 1 }).origin, 'http://[fd00::1]:1');
  });

  it('reads the readiness with the reasons of the checks that are not ok', async (t) => {
    const checks = { store: { ok: false, reason: 'down' }, directory: { ok: true }, tls: {} };
    const port = await serve(t, (_req, res) => {
      res.writeHead(503).end(JSON.stringify({ checks }));
    });
    assert.deepEqual(await new AgentClient({ host: '', port }).readiness(), {
      ready: false,
      reasons: ['store: down', 'tls: not ok'],
    });
  });

  it('skips the check when another program, or none, answers at /readyz', async (t) => {
    await assert.rejects(
      (await clientOf(t, { '/readyz': 'hello' })).readiness(),
      /is not our agent/,
    );
    const away = new AgentClient({ host: '127.0.0.1', port: await freePort() });
    await assert.rejects(away.readiness(), CheckSkippedError);
  });

  it('reads peers and providers, and leaves malformed entries out', async (t) => {
    const peer = { peerId: 'p', origins: ['http://10.0.0.1:5000', 7] };
    const peers = [peer, { peerId: 'without origins' }, 'nonsense'];
    const client = await clientOf(t, { '/debug/peers': { peers }, '/debug/providers': {} });
    assert.deepEqual(await client.peers(), [{ peerId: 'p', origins: ['http://10.0.0.1:5000'] }]);
    assert.deepEqual(await client.providers('sha256:1'), []);
  });

  it('reads the answers of the holders that the agent has asked', async (t) => {
    const peer = { peerId: 'p', origins: ['http://10.0.0.1:5000'], answer: 'has it' };
    const client = await clientOf(t, { '/debug/providers': { peers: [peer] } });
    assert.deepEqual(await client.providers('sha256:1', 'blob:docker.io/a@sha256:1'), [peer]);
  });

  it('says that the agent does not serve /debug/ to its address', async (t) => {
    const port = await serve(t, (_req, res) => {
      res.writeHead(404).end(JSON.stringify({ error: 'not for you; --debug-clients admits' }));
    });
    const client = new AgentClient({ host: '127.0.0.1', port });
    await assert.rejects(client.status(), {
      code: 'ERR_CHECK_SKIPPED',
      message: /does not serve \/debug\/status to the address of doctor: .*--debug-clients/,
    });
  });

  it('names --debug-web-enabled when a debug endpoint is not served', async (t) => {
    const client = await clientOf(t, {});
    await assert.rejects(client.providers('key'), {
      code: 'ERR_CHECK_SKIPPED',
      message: /does not serve \/debug\/providers: .*--debug-web-enabled=false/,
    });
  });
});
