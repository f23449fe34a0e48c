import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { freePort } from '../../testing/agent-program.ts';
import { doctorStage, serve, serveAgent } from '../../testing/doctor-facts.ts';
import type { Finding } from '../report.ts';
import { skewResult } from './peer-checks.ts';

async function find(
  t: TestContext,
  id: string,
  answers: Readonly<Record<string, unknown>>,
): Promise<Finding> {
  const metricsAddress = await serveAgent(t, answers);
  return await (await doctorStage(t, undefined, { metricsAddress })).find(id);
}

const peersAt = (...ports: readonly number[]) => ({
  '/debug/peers': {
    peers: ports.map((port) => ({ peerId: `p${port}`, origins: [`http://127.0.0.1:${port}`] })),
  },
});

describe('agent', () => {
  it('is ok when it is ready, with what is worth knowing', async (t) => {
    const checks = { store: { ok: true }, directory: { ok: true, reason: 'alone' } };
    const finding = await find(t, 'agent', { '/readyz': { ready: true, checks } });
    assert.equal(finding.outcome, 'ok');
  });

  it('fails when it is not there, or is somebody else', async (t) => {
    const { find: look } = await doctorStage(t, undefined);
    const gone = await look('agent');
    assert.equal(gone.outcome, 'failure');
    assert.match(gone.reason, /ECONNREFUSED/);
    assert.match((await find(t, 'agent', {})).reason, /is not our agent/);
  });

  it('fails with its reasons when it is not ready', async (t) => {
    const metricsAddress = {
      host: '127.0.0.1',
      port: await serve(t, (_req, res) => {
        const checks = { store: { ok: false, reason: 'is containerd up?' }, process: { ok: true } };
        res.writeHead(503).end(JSON.stringify({ ready: false, checks }));
      }),
    };
    const stage = await doctorStage(t, undefined, { metricsAddress });
    const { outcome, details } = await stage.find('agent');
    assert.equal(outcome, 'failure');
    assert.deepEqual(details, ['store: is containerd up?']);
  });
});

describe('corrupt-blobs', () => {
  it('fails when the agent has found some', async (t) => {
    const good = { '/debug/status': { integrity: { bad: {} } } };
    assert.equal((await find(t, 'corrupt-blobs', good)).outcome, 'ok');
    const bad = { '/debug/status': { integrity: { bad: { 'sha256:1': { path: '/x' } } } } };
    const { outcome, details } = await find(t, 'corrupt-blobs', bad);
    assert.equal(outcome, 'failure');
    assert.deepEqual(details, ['sha256:1: /x']);
  });
});

describe('peers', () => {
  it('is ok with some, and warns without', async (t) => {
    const some = { '/debug/status': { directory: { peers: 2 } } };
    assert.equal((await find(t, 'peers', some)).outcome, 'ok');
    const none = { '/debug/status': { directory: { peers: 0, bootstrapError: 'no such name' } } };
    const { outcome, reason } = await find(t, 'peers', none);
    assert.equal(outcome, 'warning');
    assert.match(reason, /no such name/);
  });

  it('could not look when the agent keeps its state to itself', async (t) => {
    const { outcome, reason } = await find(t, 'peers', {});
    assert.equal(outcome, 'skipped');
    assert.match(reason, /--debug-web-enabled=false/);
  });
});

describe('bootstrap-addresses', () => {
  it('names those that do not answer', async (t) => {
    const status = (unreached: readonly string[]) => ({
      '/debug/status': { directory: { bootstrap: { named: 3, unreached } } },
    });
    assert.equal((await find(t, 'bootstrap-addresses', status([]))).outcome, 'ok');
    const dead = '/ip4/10.0.0.9/tcp/5001: refused';
    const { outcome, details } = await find(t, 'bootstrap-addresses', status([dead]));
    assert.equal(outcome, 'warning');
    assert.deepEqual(details, [dead]);
  });

  it('does not take an empty bootstrap for one that answers', async (t) => {
    const bootstrap = { named: 0, unreached: [] };
    for (const [told, says] of [
      [{}, /names nobody/],
      [{ bootstrapError: 'cannot look up x: ENOTFOUND' }, /cannot look up x/],
    ] as const) {
      const found = await find(t, 'bootstrap-addresses', {
        '/debug/status': { directory: { bootstrap, ...told } },
      });
      assert.equal(found.outcome, 'skipped');
      assert.match(found.reason, says);
    }
  });
});

describe('peer-registry', () => {
  it('is ok when all answer, whatever they answer', async (t) => {
    const port = await serve(t, (_req, res) => res.writeHead(401).end());
    assert.equal((await find(t, 'peer-registry', peersAt(port))).outcome, 'ok');
  });

  it('fails when the port of one that is in the directory is closed', async (t) => {
    const [open, closed] = [await serve(t, (_req, res) => res.end()), await freePort()];
    const { outcome, details } = await find(t, 'peer-registry', peersAt(open, closed));
    assert.equal(outcome, 'failure');
    assert.deepEqual(details, [`http://127.0.0.1:${closed}: ECONNREFUSED`]);
  });

  it('could not look without peers', async (t) => {
    assert.equal((await find(t, 'peer-registry', peersAt())).outcome, 'skipped');
  });
});

describe('clock-skew', () => {
  const answering = (aheadMs: number) => (t: TestContext) =>
    serve(t, (_req, res) => {
      res.setHeader('Date', new Date(Date.now() + aheadMs).toUTCString());
      res.end();
    });

  for (const [aheadMs, outcome] of [
    [0, 'ok'],
    [-60_000, 'warning'],
    [3_600_000, 'failure'],
  ] as const) {
    it(`${aheadMs / 1000} s: ${outcome}`, async (t) => {
      const port = await answering(aheadMs)(t);
      assert.equal((await find(t, 'clock-skew', peersAt(port))).outcome, outcome);
    });
  }

  it('tells whose clock it is', () => {
    const at = (aheadMs: number) => ({ origin: 'http://a', aheadMs });
    assert.match(skewResult([at(-90_000), at(-91_000)]).reason, /^the clock of this node/);
    assert.match(skewResult([at(-90_000), at(100)]).reason, /^the clocks of 1 of 2 peers/);
    assert.equal(skewResult([]).outcome, 'skipped');
  });
});
