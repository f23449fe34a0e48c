import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Credentials } from '../basic-auth/credentials.ts';
import { instrument, type LabelledHandler } from '../http/instrument.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { listen } from '../testing/listen.ts';
import { quiet } from '../testing/quiet.ts';
import { guardWith, loadCredentials } from './basic-auth.ts';

const answer: LabelledHandler = (_, res) => {
  res.end();
  return Promise.resolve('v2');
};
const credentials = new Credentials('mirror', 'secret');

describe('loadCredentials', () => {
  it('has none without --basic-auth-dir, and fails for a folder that cannot be used', async () => {
    assert.equal(await loadCredentials({ 'basic-auth-dir': '' }, quiet), undefined);
    await assert.rejects(loadCredentials({ 'basic-auth-dir': '/nowhere' }, quiet), {
      code: 'ERR_BASIC_AUTH',
    });
  });
});

describe('guardWith', () => {
  it('lets agents have what the node holds, at the port for peers only', async (t) => {
    const admit = credentials.admit.bind(credentials);
    const stage = { peers: answer, node: answer };
    const { peers, node } = guardWith({ admit }, stage, false);
    const { peers: openPeers } = guardWith({ admit }, stage, true);
    const authorization = credentials.authorization.reveal();
    // Whether it is valid, the handler decides.
    const peer = { 'signature-input': 'of an agent' };
    const marked = { 'x-spegel-mirrored': 'true' };
    for (const [handler, headers, status] of [
      [peers, {}, 401],
      [peers, peer, 200],
      [peers, marked, 401],
      [openPeers, marked, 200],
      [openPeers, {}, 401],
      [peers, { authorization }, 200],
      [node, {}, 401],
      [node, peer, 401],
      [node, { authorization }, 200],
    ] as const) {
      const origin = await listen(t, instrument(createMetrics(), 'registry', handler));
      const response = await fetch(origin, { headers });
      await response.text();
      assert.equal(response.status, status);
    }
  });

  it('changes nothing without credentials', () => {
    const stage = { peers: answer, node: answer };
    assert.deepEqual(guardWith(undefined, stage, false), stage);
  });
});
