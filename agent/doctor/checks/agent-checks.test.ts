import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { doctorStage, serve, serveAgent } from '../../testing/doctor-facts.ts';
import type { Finding } from '../report.ts';

async function find(
  t: TestContext,
  id: string,
  answers: Readonly<Record<string, unknown>>,
): Promise<Finding> {
  const metricsAddress = await serveAgent(t, answers);
  return await (await doctorStage(t, undefined, { metricsAddress })).find(id);
}

describe('the check agent', () => {
  it('is ok when the agent is ready, with the reasons that it gives', async (t) => {
    const checks = { store: { ok: true }, directory: { ok: true, reason: 'alone' } };
    const finding = await find(t, 'agent', { '/readyz': { ready: true, checks } });
    assert.equal(finding.outcome, 'ok');
    assert.match(finding.reason, /^ready at http:\/\/127/);
  });

  it('fails when nothing answers, or another program does', async (t) => {
    const { find: look } = await doctorStage(t, undefined);
    const gone = await look('agent');
    assert.equal(gone.outcome, 'failure');
    assert.match(gone.reason, /ECONNREFUSED/);
    assert.match((await find(t, 'agent', {})).reason, /is not our agent/);
  });

  it('fails with the reasons of the agent when the agent is not ready', async (t) => {
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

describe('the check corrupt-blobs', () => {
  it('fails when the agent has found corrupt blobs, and names them', async (t) => {
    const good = { '/debug/status': { integrity: { bad: {} } } };
    assert.equal((await find(t, 'corrupt-blobs', good)).outcome, 'ok');
    const bad = { '/debug/status': { integrity: { bad: { 'sha256:1': { path: '/x' } } } } };
    const { outcome, details } = await find(t, 'corrupt-blobs', bad);
    assert.equal(outcome, 'failure');
    assert.deepEqual(details, ['sha256:1: /x']);
    const lost = { 'sha256:2': { path: '/y', finding: 'missing' } };
    const gone = await find(t, 'corrupt-blobs', { '/debug/status': { integrity: { bad: lost } } });
    assert.deepEqual(gone.details, ['sha256:2: /y (the file is gone)']);
  });
});
