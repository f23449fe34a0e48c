import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { podSpecs, splitFlag, type Manifest } from './manifest.ts';

describe('splitFlag', () => {
  it('splits at the first equals sign, and expands variables as Kubernetes does', () => {
    assert.deepEqual(splitFlag('--mirror-targets=http://$(NODE_IP):5000'), {
      flag: 'mirror-targets',
      raw: 'http://$(NODE_IP):5000',
      value: 'http://192.0.2.1:5000',
    });
    assert.equal(splitFlag('--a=[$(NODE_IP)]:1').value, '[2001:db8::1]:1');
    assert.equal(splitFlag('--filter=^a$$(b)=c').value, '^a$(b)=c');
  });
});

describe('podSpecs', () => {
  it('finds the pods of Pods, DaemonSets and Jobs', () => {
    const pod = { containers: [{ name: 'c', securityContext: {} }], securityContext: {} };
    const template = { metadata: { labels: { of: 'template' } }, spec: pod };
    const manifest = (kind: string, spec: object): Manifest =>
      ({
        apiVersion: 'v1',
        kind,
        metadata: { name: kind, labels: { of: 'pod' } },
        spec,
      }) as Manifest;
    const found = podSpecs([
      manifest('Pod', pod),
      manifest('DaemonSet', { template }),
      manifest('Job', { template }),
      manifest('Service', {}),
    ]);
    assert.deepEqual(
      found.map(({ kind, labels, spec }) => [kind, labels['of'], spec.containers[0].name]),
      [
        ['Pod', 'pod', 'c'],
        ['DaemonSet', 'template', 'c'],
        ['Job', 'template', 'c'],
      ],
    );
  });
});
