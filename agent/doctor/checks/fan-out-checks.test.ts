import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { doctorStage, serveAgent } from '../../testing/doctor-facts.ts';
import type { Finding } from '../report.ts';

async function find(t: TestContext, status: Readonly<Record<string, unknown>>): Promise<Finding> {
  const metricsAddress = await serveAgent(t, { '/debug/status': status });
  return await (await doctorStage(t, undefined, { metricsAddress })).find('fan-out');
}

const ON = { enabled: true, seesDownloads: true };

describe('the check fan-out', () => {
  for (const [peers, speakers, outcome, says] of [
    [3, 3, 'ok', /all 3 peers take part/],
    [3, 1, 'warning', /2 of 3 peers take no part/],
    [3, 0, 'warning', /none of 3 peers takes part: each node downloads/],
    [0, 0, 'skipped', /see peers/],
  ] as const) {
    it(`is ${outcome} when ${speakers} of ${peers} peers take part`, async (t) => {
      const found = await find(t, { fanOut: { ...ON, peers, speakers } });
      assert.equal(found.outcome, outcome);
      assert.match(found.reason, says);
      if (outcome === 'warning') assert.match(found.remedy ?? '', /--fan-out=false/);
    });
  }

  it('warns when it is switched off, and names the option', async (t) => {
    const off = { enabled: false, seesDownloads: true, reason: '--fan-out=false' };
    const found = await find(t, { fanOut: { ...off, peers: 3, speakers: 3 } });
    assert.equal(found.outcome, 'warning');
    assert.match(found.reason, /downloads a fresh image for itself \(--fan-out=false\)/);
  });

  it('warns when the agent cannot see what containerd receives, and names the folder', async (t) => {
    const reason = '/content/ingest cannot be read (ENOENT)';
    const unseen = { enabled: true, seesDownloads: false, reason };
    const found = await find(t, { fanOut: { ...unseen, peers: 3, speakers: 3 } });
    assert.equal(found.outcome, 'warning');
    assert.match(found.reason, /\/content\/ingest cannot be read \(ENOENT\)/);
    assert.match(found.remedy ?? '', /--containerd-content-path/);
  });

  it('is skipped for an OCI image layout, and for an agent that does not know it', async (t) => {
    const fanOut = { enabled: false, seesDownloads: false, reason: 'x', peers: 1, speakers: 1 };
    const layout = await find(t, { fanOut, settings: { ociLayout: '/images' } });
    assert.equal(layout.outcome, 'skipped');
    assert.equal((await find(t, { settings: {} })).outcome, 'skipped');
  });
});
