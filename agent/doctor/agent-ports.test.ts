import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { doctorStage, serveAgent } from '../testing/doctor-facts.ts';
import { agentPorts } from './agent-ports.ts';
import { Facts } from './facts.ts';

describe('agentPorts', () => {
  it('are those that the agent reports', async (t) => {
    const status = { listening: ['/ip4/10.0.0.1/tcp/6001'], settings: { registryPort: 6000 } };
    const metricsAddress = await serveAgent(t, { '/debug/status': status });
    const { init } = await doctorStage(t, undefined, { metricsAddress, routerPort: 5001 });
    using facts = new Facts(init);
    const expected = { registry: 6000, router: 6001, isRouterKnown: true };
    assert.deepEqual(await agentPorts(facts), expected);
  });

  it('are the defaults and that of the options without an agent', async (t) => {
    const { init } = await doctorStage(t, undefined, { routerPort: 5011 });
    using facts = new Facts(init);
    const expected = { registry: 5000, router: 5011, isRouterKnown: false };
    assert.deepEqual(await agentPorts(facts), expected);
  });
});
