import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { seal } from '../hosts/marker.ts';
import { doctorStage, serve, serveAgent } from '../testing/doctor-facts.ts';
import { freePort } from '../testing/agent-program.ts';
import { Facts } from './facts.ts';
import { mirrorUrls } from './mirror-urls.ts';

const statusOf = (settings: object): Record<string, unknown> => ({ '/debug/status': { settings } });

describe('mirrorUrls', () => {
  it('takes those of the options', async (t) => {
    const targets = { mirrorTargets: ['http://10.0.0.1:30020'] };
    const { init } = await doctorStage(t, undefined, targets);
    using facts = new Facts(init);
    assert.deepEqual(await mirrorUrls(facts), targets.mirrorTargets);
  });

  it('names no IPv6 address to a containerd that cannot read it', async (t) => {
    for (const [version, mirrorTargets, urls] of [
      ['1.7.24', ['http://[fd88::2]:5000'], ['http://127.0.0.1:5000']],
      ['1.7.24', ['http://[fd88::2]:5000', 'http://n.example:5000'], ['http://n.example:5000']],
      ['2.1.9', ['http://[fd88::2]:5000'], ['http://[fd88::2]:5000']],
    ] as const) {
      const { init } = await doctorStage(t, { version }, { mirrorTargets });
      using facts = new Facts(init);
      assert.deepEqual(await mirrorUrls(facts), urls);
    }
  });

  it('takes where the agent listens, and the default only without an agent', async (t) => {
    for (const [settings, url] of [
      [{ registryPort: 6000 }, 'http://127.0.0.1:6000'],
      [
        { registryPort: 6000, registryHost: '10.0.0.1', registryTls: true },
        'https://10.0.0.1:6000',
      ],
      [{ registryPort: 6000, registryHost: 'fd00::1' }, 'http://[fd00::1]:6000'],
    ] as const) {
      const metricsAddress = await serveAgent(t, statusOf(settings));
      const { init } = await doctorStage(t, undefined, { metricsAddress });
      using facts = new Facts(init);
      assert.deepEqual(await mirrorUrls(facts), [url]);
    }
    const { init } = await doctorStage(t, undefined);
    using facts = new Facts(init);
    assert.deepEqual(await mirrorUrls(facts), ['http://127.0.0.1:5000']);
  });

  it('takes what configuration wrote while it leads to the mirror, as a host port of a pod does', async (t) => {
    const metricsAddress = await serveAgent(t, statusOf({ registryPort: 5000 }));
    const stage = await doctorStage(t, undefined, { metricsAddress });
    const hostPort = await serve(t, (_req, res) => res.end());
    const dead = await freePort();
    const init = { folder: '_default', madeFolder: true, k3s: false };
    for (const [port, url] of [
      [hostPort, `http://127.0.0.1:${hostPort}`],
      [dead, 'http://127.0.0.1:5000'],
    ] as const) {
      const text = seal(`[host.'http://127.0.0.1:${port}']\n`, init);
      stage.write('certs.d/_default/hosts.toml', text);
      using facts = new Facts(stage.init);
      assert.deepEqual(await mirrorUrls(facts), [url]);
    }
  });
});
