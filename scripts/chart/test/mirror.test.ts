import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parse } from 'yaml';

import { template } from '../helm.ts';
import { type Container, type Manifest, splitFlag } from '../manifest.ts';
import { REGISTRIES } from '../matrix.ts';
import { agent, find, render, skip } from './render.ts';

describe('the mirror in the chart', { skip }, () => {
  it('lets the agent write the configuration again that k3s and RKE2 rewrite', async () => {
    for (const preset of ['k3s', 'rke2']) {
      const { init, registry } = await agent(preset);
      assert.deepEqual(init, []);
      const { args = [] } = registry;
      assert.ok(args.includes('--configure=true'));
      // Otherwise a running agent would write again what `helm uninstall` removes.
      assert.ok(args.includes('--configure-remove-on-exit=true'));
      assert.ok(args.includes('--mirror-targets=http://$(NODE_IP):30020'));
      assert.ok(registry.volumeMounts?.some(({ name }) => name === 'registry-config'));
    }
    const { init, registry } = await agent('containerd left alone');
    assert.deepEqual(init, []);
    assert.ok(registry.args?.every((arg) => !/configure|mirror-targets/.test(arg)));
    assert.ok(registry.volumeMounts?.every(({ name }) => name !== 'registry-config'));
  });

  for (const [name, targets] of [
    ['defaults', ['http://$(NODE_IP):30020']],
    ['host port and NodePort', ['http://$(NODE_IP):30020', 'http://$(NODE_IP):30021']],
    ['host port on loopback', ['http://127.0.0.1:30020']],
    ['NodePort only', ['http://$(NODE_IP):30021']],
    ['network of the node', ['http://127.0.0.1:5002']],
    ['network of the node, and NodePort', ['http://127.0.0.1:5002', 'http://$(NODE_IP):30021']],
    ['TLS', ['https://$(NODE_IP):30020']],
    ['IPv6 first', ['http://[$(NODE_IP)]:30020']],
  ] as const) {
    it(`configures the address of the mirror in containerd: ${name}`, async () => {
      const [configuration] = (await agent(name)).init;
      const given = configuration?.args?.map(splitFlag) ?? [];
      assert.deepEqual(
        given.filter(({ flag }) => flag === 'mirror-targets').map(({ raw }) => raw),
        targets,
      );
    });
  }

  it('opens the ports that it configures', async () => {
    const port = (it: Container): Record<string, unknown> | undefined =>
      it.ports?.find(({ name }) => name === 'mirror');
    const defaults = (await agent('defaults')).registry;
    assert.equal(port(defaults)?.['hostPort'], 30020);
    assert.equal(port(defaults)?.['containerPort'], 5002);
    const forPeers = defaults.ports?.find(({ name }) => name === 'registry');
    assert.deepEqual(forPeers, { name: 'registry', containerPort: 5000, protocol: 'TCP' });
    assert.equal(port((await agent('NodePort only')).registry)?.['hostPort'], undefined);
    assert.equal(port((await agent('host port on loopback')).registry)?.['hostIP'], '127.0.0.1');
    const service = async (name: string): Promise<Manifest['spec']> =>
      find(await render(name), 'Service', 'test-peerglass-registry').spec;
    const [withNodePort] = (await service('host port and NodePort')).ports;
    assert.equal(withNodePort?.['nodePort'], 30021);
    assert.equal(withNodePort['targetPort'], 'mirror');
    assert.equal((await service('host port and NodePort')).type, 'NodePort');
    assert.equal((await service('defaults')).type, 'ClusterIP');
    assert.equal((await service('defaults')).ports[0]?.['nodePort'], undefined);
    assert.deepEqual((await service('IPv6 first')).ipFamilies, ['IPv6', 'IPv4']);
    assert.equal((await service('defaults')).ipFamilyPolicy, 'PreferDualStack');
  });

  it('serves containerd of the node only, unless there is a NodePort', async () => {
    for (const [name, address, clients] of [
      ['defaults', ':5002', []],
      ['host port and NodePort', ':5002', ['any']],
      ['NodePort for the own node', ':5002', ['node']],
      ['network of the node', '127.0.0.1:5002', []],
      ['network of the node, and NodePort', ':5002', ['any']],
    ] as const) {
      const flags = (await agent(name)).registry.args?.slice(1).map(splitFlag) ?? [];
      const given = (flag: string): string[] =>
        flags.filter((it) => it.flag === flag).map(({ raw }) => raw);
      assert.deepEqual(given('mirror-addr'), [address], name);
      assert.deepEqual(given('mirror-clients'), clients, name);
    }
  });

  it('recognises containerd by further addresses as well as by that of the node', async () => {
    const { args = [] } = (await agent('further addresses of the node')).registry;
    assert.deepEqual(
      args.filter((arg) => arg.startsWith('--node-ip=')),
      ['--node-ip=$(NODE_IP)', '--node-ip=192.0.2.7', '--node-ip=2001:db8::7'],
    );
    const without = (await agent('defaults')).registry.args ?? [];
    assert.ok(without.every((arg) => !arg.startsWith('--node-ip')));
  });

  it('mounts a registries.yaml as a Secret where it is read', async () => {
    const manifests = await render('registries');
    const { stringData } = find(manifests, 'Secret', 'test-peerglass-registries');
    assert.deepEqual(parse(stringData?.['registries.yaml'] ?? ''), REGISTRIES);
    const { init, registry } = await agent('registries');
    const test = find(manifests, 'Pod', 'test-peerglass-doctor').spec;
    for (const { args, volumeMounts } of [registry, ...init, ...test.containers]) {
      assert.ok(args?.includes('--registries-yaml=/etc/peerglass/registries.yaml'));
      assert.ok(volumeMounts?.some(({ mountPath }) => mountPath === '/etc/peerglass'));
    }
    assert.deepEqual(
      test.volumes?.find(({ name }) => name === 'registries'),
      { name: 'registries', secret: { secretName: 'test-peerglass-registries' } },
    );
  });

  it('mounts extra volumes into every container whose options name their files', async () => {
    const manifests = await render('files of further volumes');
    const { init, registry } = await agent('files of further volumes');
    const doctor = find(manifests, 'Pod', 'test-peerglass-doctor').spec.containers[0];
    assert.equal(init.length, 1);
    for (const { name, args, volumeMounts } of [registry, ...init, doctor]) {
      assert.ok(
        args?.some((arg) => arg.includes('=/more/')),
        name,
      );
      assert.ok(
        volumeMounts?.some(({ mountPath }) => mountPath === '/more'),
        name,
      );
    }
  });

  for (const name of ['TLS of a Secret', 'TLS of a Secret, configured by the agent']) {
    it(`serves with the certificate, and makes containerd trust it: ${name}`, async () => {
      const { init, registry } = await agent(name);
      const doctor = find(await render(name), 'Pod', 'test-peerglass-doctor').spec.containers[0];
      for (const { volumeMounts } of [registry, ...init, doctor]) {
        const mount = volumeMounts?.find((it) => it.name === 'tls');
        assert.deepEqual(mount, { name: 'tls', mountPath: '/etc/peerglass-tls', readOnly: true });
      }
      for (const flag of [
        '--registry-tls-cert=/etc/peerglass-tls/tls.crt',
        '--registry-tls-key=/etc/peerglass-tls/tls.key',
        '--registry-tls-ca=/etc/peerglass-tls/ca.crt',
      ]) {
        assert.ok(registry.args?.includes(flag), flag);
        assert.ok(doctor.args?.includes(flag), flag);
      }
      const configurer = init[0] ?? registry;
      assert.ok(configurer.args?.some((arg) => arg.startsWith('--mirror-targets=https:')));
      assert.ok(configurer.args?.includes('--mirror-target-ca-copy=/etc/peerglass-tls/ca.crt'));
      const { volumes } = find(await render(name), 'DaemonSet').spec.template.spec;
      assert.deepEqual(
        volumes?.find((it) => it.name === 'tls'),
        { name: 'tls', secret: { secretName: 'mirror-tls', defaultMode: 0o400 } },
      );
    });
  }

  it('gives peers TLS by their identities, and containerd the port without it', async () => {
    const { init, registry } = await agent('TLS by identities');
    assert.ok(registry.args?.includes('--registry-tls=auto'));
    assert.ok(registry.args?.some((arg) => arg.startsWith('--mirror-addr=')));
    const configurer = init[0] ?? registry;
    assert.ok(configurer.args?.some((arg) => arg.startsWith('--mirror-targets=http:')));
  });

  for (const name of ['basic authentication', 'basic authentication, configured by the agent']) {
    it(`asks containerd for credentials, and gives them to hosts.toml: ${name}`, async () => {
      const { init, registry } = await agent(name);
      const { volumes, containers } = find(await render(name), 'DaemonSet').spec.template.spec;
      for (const { args, volumeMounts } of [registry, ...init]) {
        assert.ok(args?.includes('--basic-auth-dir=/etc/peerglass-basic-auth'));
        assert.deepEqual(
          volumeMounts?.find((it) => it.name === 'basic-auth'),
          { name: 'basic-auth', mountPath: '/etc/peerglass-basic-auth', readOnly: true },
        );
      }
      assert.equal(init.length, name === 'basic authentication' ? 1 : 0);
      assert.equal(containers.length, 1);
      assert.deepEqual(
        volumes?.find((it) => it.name === 'basic-auth'),
        { name: 'basic-auth', secret: { secretName: 'mirror-users', defaultMode: 0o400 } },
      );
      const without = JSON.stringify(await render('defaults'));
      assert.doesNotMatch(without, /basic-auth/);
    });
  }

  it('copies no CA that the node already has or that is public', async () => {
    for (const [peerglass, flags] of [
      [{ mirrorTargetCa: '/on/the/node.crt' }, ['--mirror-target-ca=/on/the/node.crt']],
      [{ tls: { authority: '' } }, []],
    ] as const) {
      const tls = { secretName: 'mirror-tls', ...('tls' in peerglass && peerglass.tls) };
      const manifests = await template({ peerglass: { ...peerglass, tls } }, '1.37');
      const [init] = find(manifests, 'DaemonSet').spec.template.spec.initContainers ?? [];
      assert.deepEqual(
        init?.args?.filter((arg) => arg.startsWith('--mirror-target-ca')),
        flags,
      );
    }
  });

  it('publishes the addresses of agents that are not ready', async () => {
    const { spec } = find(await render('defaults'), 'Service', 'test-peerglass-bootstrap');
    assert.equal(spec.clusterIP, 'None');
    assert.equal(spec.publishNotReadyAddresses, true);
  });
});
