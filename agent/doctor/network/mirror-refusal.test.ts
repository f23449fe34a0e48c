import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { NamespaceAnswer } from '../../native/network-namespace.ts';
import { doctorStage, serveAgent } from '../../testing/doctor-facts.ts';
import { Facts } from '../facts.ts';
import { refusalRemedy, statusInWords } from './mirror-refusal.ts';

const answered = (status: number): NamespaceAnswer => ({ status, headers: {}, body: '' });

/** The remedy for these answers, beside an agent with these settings. */
async function remedyFor(
  t: TestContext,
  settings: object,
  ...answers: readonly NamespaceAnswer[]
): Promise<string> {
  const metricsAddress = await serveAgent(t, { '/debug/status': { settings } });
  const { init } = await doctorStage(t, undefined, { metricsAddress });
  using facts = new Facts(init);
  return (await refusalRemedy(facts, answers)) ?? 'none';
}

describe('refusalRemedy', () => {
  it('names --node-ip when an agent that serves its node only closes the connection', async (t) => {
    const closed = { error: 'ECONNRESET' };
    assert.match(await remedyFor(t, { mirrorClients: 'node' }, closed), /--node-ip/);
    assert.equal(await remedyFor(t, { mirrorClients: 'any' }, closed), 'none');
    assert.equal(await remedyFor(t, {}, closed), 'none', 'an agent of an earlier version');
  });

  it('names --basic-auth-dir for 401', async (t) => {
    assert.match(await remedyFor(t, {}, answered(200), answered(401)), /--basic-auth-dir/);
  });

  it('has nothing to say about other failures', async (t) => {
    const node = { mirrorClients: 'node' };
    const answers = [{ error: 'ECONNREFUSED' }, { error: 'TIMEOUT' }, answered(404)];
    assert.equal(await remedyFor(t, node, ...answers), 'none');
  });
});

describe('statusInWords', () => {
  it('says what is wrong with an answer', () => {
    assert.match(statusInWords(401), /does not have the credentials/);
    assert.equal(statusInWords(404), 'answers 404, which our mirror does not');
  });
});
