import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { doctorStage, serve, serveAgent } from '../testing/doctor-facts.ts';
import { Facts } from './facts.ts';
import { CheckSkippedError } from './report.ts';

describe('Facts', () => {
  it('finds a fact out once, for all checks', async (t) => {
    let requests = 0;
    const port = await serve(t, (_req, res) => {
      requests += 1;
      res.end('{}');
    });
    const { init } = await doctorStage(t, undefined, {
      metricsAddress: { host: '127.0.0.1', port },
    });
    using facts = new Facts(init);
    await Promise.all([facts.status(), facts.status()]);
    await facts.status();
    assert.equal(requests, 1);
  });

  it('throws the same CheckSkippedError to every check when containerd does not answer', async (t) => {
    const { init } = await doctorStage(t, undefined);
    using facts = new Facts(init);
    await assert.rejects(facts.reachable(), {
      code: 'ERR_CHECK_SKIPPED',
      message: 'containerd does not answer',
    });
    await assert.rejects(facts.config(), CheckSkippedError);
  });

  it('checks the registries of the options, else those of the agent, else _default', async (t) => {
    const shared = (registries: readonly string[]) =>
      serveAgent(t, { '/debug/status': { settings: { registries } } });
    for (const [named, metricsAddress, expected] of [
      [['ghcr.io'], await shared(['quay.io']), ['ghcr.io']],
      [[], await shared(['quay.io']), ['quay.io']],
      [[], await shared([]), ['_default']],
      [[], await shared(['*', 'quay.io']), ['_default']],
      [['_default', 'docker.io'], await shared(['quay.io']), ['_default', 'docker.io']],
    ] as const) {
      const { init } = await doctorStage(t, undefined, { registries: named, metricsAddress });
      using facts = new Facts(init);
      assert.deepEqual(await facts.registries(), expected);
    }
  });

  it('takes the namespace and the port of the mirror from the agent', async (t) => {
    const settings = { registryPort: 6000, namespace: 'other' };
    const metricsAddress = await serveAgent(t, { '/debug/status': { settings } });
    const { init } = await doctorStage(t, undefined, { metricsAddress });
    using facts = new Facts(init);
    assert.equal(await facts.namespace(), 'other');
    assert.deepEqual(await facts.mirrorMark(), { targets: [], port: 6000 });
    const without = await doctorStage(t, undefined);
    using alone = new Facts(without.init);
    assert.equal(await alone.namespace(), 'k8s.io');
    assert.deepEqual(await alone.mirrorMark(), { targets: [], port: undefined });
  });

  it('has a client certificate only when certificate and key can be read', async (t) => {
    const { init, write } = await doctorStage(t, undefined);
    const [cert, key] = [write('tls.crt', 'CERT'), write('tls.key', 'KEY')];
    using facts = new Facts({ ...init, tls: { cert, key, ca: '' } });
    assert.deepEqual(await facts.identity(), { cert: 'CERT', key: 'KEY' });
    using without = new Facts({ ...init, tls: { cert, key: '/nowhere/tls.key', ca: '' } });
    assert.equal(await without.identity(), undefined);
    const [clientCert, clientKey] = [write('client.crt', 'SHOWN'), write('client.key', 'ITS KEY')];
    using other = new Facts({ ...init, tls: { cert, key, ca: '', clientCert, clientKey } });
    assert.deepEqual(await other.identity(), { cert: 'SHOWN', key: 'ITS KEY' });
  });
});
