import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseSwarmKeys } from '../../../agent/membership/swarm-key.ts';
import { install, template } from '../helm.ts';
import { KubernetesApi } from '../kubernetes-api.ts';
import type { Manifest } from '../manifest.ts';
import { agentWith, find, render, skip } from './render.ts';

const NAME = 'test-peerglass-swarm-key';
const FLAG = '--swarm-key-file=/etc/peerglass-swarm/swarm.key';

const secrets = (manifests: readonly Manifest[]) =>
  manifests.filter(({ kind, metadata }) => kind === 'Secret' && metadata.name.includes('swarm'));

describe('the swarm key in the chart', { skip }, () => {
  it('is made by the chart, another one each time, and outlives the release', async () => {
    const keys = [await render('defaults'), await template({}, '1.37')].map((manifests) => {
      const secret = find(manifests, 'Secret', NAME);
      assert.equal(secret.metadata.annotations?.['helm.sh/resource-policy'], 'keep');
      const text = Buffer.from(secret.data?.['swarm.key'] ?? '', 'base64').toString();
      const [key, ...more] = parseSwarmKeys(text);
      assert.ok(key !== undefined && more.length === 0);
      return key.fingerprint;
    });
    assert.notEqual(keys[0], keys[1]);
  });

  it('stays the same when the cluster has it, whatever keys it has by now', async () => {
    const data = { 'swarm.key': Buffer.from('two keys').toString('base64') };
    const metadata = {
      ...{ namespace: 'peerglass', name: NAME },
      labels: { 'app.kubernetes.io/managed-by': 'Helm' },
      annotations: {
        'meta.helm.sh/release-name': 'test',
        'meta.helm.sh/release-namespace': 'peerglass',
      },
    };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, data } as const;
    await using api = await KubernetesApi.start({}, 34, [secret]);
    const { manifests } = await install({}, api);
    assert.deepEqual(find(manifests, 'Secret', NAME).data, data);
  });

  it('is given to the agent as a file that only root can read', async () => {
    const pod = find(await render('defaults'), 'DaemonSet').spec.template.spec;
    assert.ok(pod.containers[0].args?.includes(FLAG));
    const mount = pod.containers[0].volumeMounts?.find(({ name }) => name === 'swarm-key');
    assert.equal(mount?.readOnly, true);
    // As a whole: with `subPath` a changed key would not arrive.
    assert.ok(!('subPath' in mount));
    const volume = pod.volumes?.find(({ name }) => name === 'swarm-key');
    assert.deepEqual(volume?.secret, { secretName: NAME, defaultMode: 0o400 });
  });

  it('comes from a Secret that the values name, and then none is made', async () => {
    const manifests = await template({ peerglass: { swarmKeySecretName: 'ours' } }, '1.37');
    assert.deepEqual(secrets(manifests), []);
    const pod = find(manifests, 'DaemonSet').spec.template.spec;
    assert.ok(pod.containers[0].args?.includes(FLAG));
    const volume = pod.volumes?.find(({ name }) => name === 'swarm-key');
    assert.deepEqual(volume?.secret, { secretName: 'ours', defaultMode: 0o400 });
  });

  it('is not there in an open cluster, unless the values name one', async () => {
    const manifests = await template({ peerglass: { open: true } }, '1.37');
    assert.deepEqual(secrets(manifests), []);
    const { args = [], volumeMounts = [] } = find(manifests, 'DaemonSet').spec.template.spec
      .containers[0];
    assert.ok(args.includes('--open=true'));
    assert.ok(args.every((arg) => !arg.startsWith('--swarm-key-file')));
    assert.ok(volumeMounts.every(({ name }) => name !== 'swarm-key'));
    const both = await agentWith({ peerglass: { open: true, swarmKeySecretName: 'ours' } });
    assert.ok(both.args?.includes('--open=true') === true && both.args.includes(FLAG));
  });

  it('is a file of the nodes if the values say so', async () => {
    const manifests = await template({ peerglass: { swarmKeyFile: '/keys/swarm' } }, '1.37');
    assert.deepEqual(secrets(manifests), []);
    const { args = [] } = find(manifests, 'DaemonSet').spec.template.spec.containers[0];
    assert.ok(args.includes('--swarm-key-file=/keys/swarm'));
  });
});
