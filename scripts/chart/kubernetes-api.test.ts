import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { KubernetesApi } from './kubernetes-api.ts';

describe('KubernetesApi', () => {
  it('serves its version and the labels of its nodes', async () => {
    await using api = await KubernetesApi.start({ a: { zone: 'x' } }, 33);
    const version = (await (await fetch(`${api.url}/version`)).json()) as { gitVersion: string };
    assert.equal(version.gitVersion, 'v1.33.0');
    const nodes = (await (await fetch(`${api.url}/api/v1/nodes?limit=500`)).json()) as {
      items: unknown[];
    };
    assert.deepEqual(nodes.items, [{ metadata: { name: 'a', labels: { zone: 'x' } } }]);
  });

  it('lists the kinds of each API group that it names', async () => {
    await using api = await KubernetesApi.start();
    const { groups } = (await (await fetch(`${api.url}/apis`)).json()) as {
      groups: { preferredVersion: { groupVersion: string } }[];
    };
    assert.ok(groups.length > 0);
    for (const { preferredVersion } of groups) {
      const response = await fetch(`${api.url}/apis/${preferredVersion.groupVersion}`);
      assert.equal(response.status, 200);
      await response.body?.cancel();
    }
  });

  it('answers 404 with a Status for everything else', async () => {
    await using api = await KubernetesApi.start();
    const response = await fetch(`${api.url}/api/v1/namespaces/x/secrets/y`);
    assert.equal(response.status, 404);
    assert.equal(((await response.json()) as { kind: string }).kind, 'Status');
  });
});
