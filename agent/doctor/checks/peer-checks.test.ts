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

describe('the check peers', () => {
  it('is ok with peers, and warns without any', async (t) => {
    const some = { '/debug/status': { directory: { peers: 2 } } };
    assert.equal((await find(t, 'peers', some)).outcome, 'ok');
    const none = { '/debug/status': { directory: { peers: 0, bootstrapError: 'no such name' } } };
    const { outcome, reason } = await find(t, 'peers', none);
    assert.equal(outcome, 'warning');
    assert.match(reason, /no such name/);
    const moved = { listening: ['/ip4/10.0.0.1/tcp/6001'], directory: { peers: 0 } };
    const { remedy } = await find(t, 'peers', { '/debug/status': moved });
    assert.match(remedy ?? '', /open TCP 6001 /);
  });

  it('is skipped when the agent does not serve /debug/status', async (t) => {
    const { outcome, reason } = await find(t, 'peers', {});
    assert.equal(outcome, 'skipped');
    assert.match(reason, /--debug-web-enabled=false/);
  });
});

describe('the check duplicate-identity', () => {
  it('fails when another node has the identity of this one, and names its address', async (t) => {
    const none = { '/debug/status': { directory: { peers: 2 } } };
    assert.equal((await find(t, 'duplicate-identity', none)).outcome, 'ok');
    const duplicateIdentity = '/ip4/10.0.0.9/tcp/40123';
    const status = { peerId: '12D3', directory: { peers: 2, duplicateIdentity } };
    const found = await find(t, 'duplicate-identity', { '/debug/status': status });
    assert.equal(found.outcome, 'failure');
    assert.match(found.reason, /10\.0\.0\.9.*12D3.*private\.key/);
  });
});

describe('the check tag-disagreements', () => {
  it('warns and names who has what', async (t) => {
    const status = (tagDisagreements: unknown) => ({ '/debug/status': { tagDisagreements } });
    assert.equal((await find(t, 'tag-disagreements', status({}))).outcome, 'ok');
    assert.equal((await find(t, 'tag-disagreements', status(undefined))).outcome, 'skipped');
    const holders = { 'sha256:1': ['http://10.0.0.7:5000'], 'sha256:2': ['http://10.0.0.8:5000'] };
    const found = await find(t, 'tag-disagreements', status({ 'r.example/a:1': holders }));
    assert.equal(found.outcome, 'warning');
    assert.deepEqual(found.details, [
      'r.example/a:1: sha256:1 at http://10.0.0.7:5000; sha256:2 at http://10.0.0.8:5000',
    ]);
  });
});

describe('the check bootstrap-addresses', () => {
  it('warns and names the addresses that do not answer', async (t) => {
    const status = (unreached: readonly string[]) => ({
      '/debug/status': { directory: { bootstrap: { named: 3, unreached } } },
    });
    assert.equal((await find(t, 'bootstrap-addresses', status([]))).outcome, 'ok');
    const dead = '/ip4/10.0.0.9/tcp/5001: refused';
    const { outcome, details } = await find(t, 'bootstrap-addresses', status([dead]));
    assert.equal(outcome, 'warning');
    assert.deepEqual(details, [dead]);
  });

  it('is skipped with the reason when the bootstrap names no address', async (t) => {
    const bootstrap = { named: 0, unreached: [] };
    for (const [directory, says] of [
      [{}, /names no node but this one/],
      [{ bootstrapError: 'cannot look up x: ENOTFOUND' }, /cannot look up x/],
    ] as const) {
      const found = await find(t, 'bootstrap-addresses', {
        '/debug/status': { directory: { bootstrap, ...directory } },
      });
      assert.equal(found.outcome, 'skipped');
      assert.match(found.reason, says);
    }
  });
});

describe('the check peer-registry', () => {
  it('is ok when all mirrors answer, with any status', async (t) => {
    const port = await serve(t, (_req, res) => res.writeHead(401).end());
    assert.equal((await find(t, 'peer-registry', peersAt(port))).outcome, 'ok');
  });

  it('fails when the mirror port of a peer is closed', async (t) => {
    const [open, closed] = [await serve(t, (_req, res) => res.end()), await freePort()];
    const { outcome, details } = await find(t, 'peer-registry', peersAt(open, closed));
    assert.equal(outcome, 'failure');
    assert.deepEqual(details, [`http://127.0.0.1:${closed}: ECONNREFUSED`]);
  });

  it('is skipped without peers', async (t) => {
    assert.equal((await find(t, 'peer-registry', peersAt())).outcome, 'skipped');
  });
});

describe('the check own-mirror', () => {
  const at = (...origins: readonly string[]) => ({
    '/debug/status': { peerId: 'me', origins },
  });

  it('is ok when the mirror answers where peers look for it, with any status', async (t) => {
    const port = await serve(t, (_req, res) => res.writeHead(404).end());
    const { outcome, reason } = await find(t, 'own-mirror', at(`http://127.0.0.1:${port}`));
    assert.equal(outcome, 'ok');
    assert.match(reason, new RegExp(`127\\.0\\.0\\.1:${port}`));
  });

  it('warns when it does not answer there, or no address is announced', async (t) => {
    const closed = await find(t, 'own-mirror', at(`http://127.0.0.1:${await freePort()}`));
    assert.equal(closed.outcome, 'warning');
    assert.match(closed.reason, /ECONNREFUSED.*neither get content/);
    assert.match(closed.remedy ?? '', /--registry-addr/);
    const none = await find(t, 'own-mirror', at());
    assert.equal(none.outcome, 'warning');
    assert.match(none.reason, /no address/);
  });

  it('is skipped when the agent is older', async (t) => {
    const found = await find(t, 'own-mirror', { '/debug/status': {} });
    assert.equal(found.outcome, 'skipped');
  });
});

describe('the check clock-skew', () => {
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
    it(`is ${outcome} when the clock of a peer is ${aheadMs / 1000} s ahead`, async (t) => {
      const port = await answering(aheadMs)(t);
      assert.equal((await find(t, 'clock-skew', peersAt(port))).outcome, outcome);
    });
  }

  it('says whether the clock of this node or of a peer is wrong', () => {
    const at = (aheadMs: number) => ({ origin: 'http://a', aheadMs });
    assert.match(skewResult([at(-90_000), at(-91_000)]).reason, /^the clock of this node/);
    assert.match(skewResult([at(-90_000), at(100)]).reason, /^the clocks of 1 of 2 peers/);
    assert.equal(skewResult([]).outcome, 'skipped');
  });
});
