import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import type { OptionTable } from '../../../agent/config/options.ts';
import { SUBCOMMANDS } from '../../../agent/config/subcommands.ts';
import { CHART } from '../generate.ts';
import { helm, runTool, template } from '../helm.ts';
import { type Container, podSpecs, splitFlag } from '../manifest.ts';
import { MATRIX } from '../matrix.ts';
import { missing, TOOLS } from '../tools.ts';
import { render, skip } from './render.ts';

/** The oldest and the newest Kubernetes that the chart is for. */
const KUBERNETES = ['1.25', '1.37'];
/** API groups of custom resources. */
const CUSTOM = /^(monitoring\.coreos\.com|autoscaling\.k8s\.io|grafana\.integreatly\.org)\//;
/** Kinds of RBAC. */
const RIGHTS = /^(Cluster)?Role(Binding)?$/;

const folder = mkdtempSync(join(tmpdir(), 'peerglass-chart-'));
after(() => {
  rmSync(folder, { recursive: true });
});

describe('the objects of the chart', { skip }, () => {
  it('passes helm lint --strict', async () => {
    await helm(['lint', '--strict', '--kube-version', '1.37', CHART]);
  });

  for (const kubernetes of KUBERNETES) {
    it(
      `renders valid objects of Kubernetes ${kubernetes} for all values of the matrix`,
      { skip: missing('kubernetesValidate') ?? false },
      async () => {
        const files: string[] = [];
        for (const name of Object.keys(MATRIX)) {
          const manifests = await render(name, kubernetes);
          const own = manifests.filter(({ apiVersion }) => !CUSTOM.test(apiVersion));
          const file = join(folder, `${name.replaceAll(/\W/g, '-')}-${kubernetes}.yaml`);
          writeFileSync(file, own.map((manifest) => JSON.stringify(manifest)).join('\n---\n'));
          files.push(file);
        }
        const args = ['-k', kubernetes, '--strict', '--quiet', ...files];
        await runTool(TOOLS.kubernetesValidate, args, '');
      },
    );
  }

  for (const name of Object.keys(MATRIX)) {
    it(`passes arguments that the agent accepts: ${name}`, async () => {
      for (const { spec } of podSpecs(await render(name))) {
        for (const { args } of [...(spec.initContainers ?? []), ...spec.containers]) {
          const [subcommand = '', ...flags] = args ?? [];
          if (!(subcommand in SUBCOMMANDS)) continue;
          const table: OptionTable = SUBCOMMANDS[subcommand as keyof typeof SUBCOMMANDS].options;
          for (const { flag, value } of flags.map(splitFlag)) {
            const option = table[flag];
            assert.ok(option !== undefined, `${subcommand} ${flag}`);
            option.kind.parse([value]);
          }
        }
      }
    });

    it(`follows Pod Security "restricted", except for root: ${name}`, async () => {
      const manifests = await render(name);
      for (const { kind, spec } of podSpecs(manifests)) {
        assert.equal(spec.automountServiceAccountToken, false);
        assert.equal(spec.hostPID ?? spec.hostIPC ?? false, false);
        assert.deepEqual(spec.securityContext['seccompProfile'], { type: 'RuntimeDefault' });
        const ours = [...(spec.initContainers ?? []), ...spec.containers];
        for (const { name: container, securityContext } of ours) {
          if (container === 'wait') continue; // an init container of the user's own
          assert.equal(securityContext['privileged'], false);
          assert.equal(securityContext['allowPrivilegeEscalation'], false);
          assert.deepEqual(securityContext['capabilities'], { drop: ['ALL'] });
        }
        if (kind === 'Job') {
          assert.equal(spec.securityContext['runAsNonRoot'], true);
          assert.equal(spec.volumes, undefined);
        }
      }
      assert.deepEqual(
        manifests.filter(({ kind }) => RIGHTS.test(kind)).map(({ kind }) => kind),
        name === 'startup taint' ? ['ClusterRole', 'ClusterRoleBinding'] : [],
        'unneeded permissions',
      );
    });

    it(`cleans up its configuration on the same nodes: ${name}`, async () => {
      const manifests = await render(name);
      const [main, cleanup] = manifests
        .filter(({ kind }) => kind === 'DaemonSet')
        .map(({ spec }) => spec.template.spec);
      assert.ok(main !== undefined);
      // With `peerglass.configure` the agent itself writes the configuration.
      const configuration = [...(main.initContainers ?? []), ...main.containers].find(
        ({ volumeMounts = [] }) => volumeMounts.some((it) => it.name === 'registry-config'),
      );
      if (configuration === undefined || cleanup === undefined) {
        assert.equal(configuration, cleanup);
        return;
      }
      for (const field of [
        'nodeSelector',
        'affinity',
        'tolerations',
        'imagePullSecrets',
      ] as const) {
        assert.deepEqual(cleanup[field], main[field], field);
      }
      const [container] = cleanup.containers;
      const configMounts = (it: Container): unknown =>
        it.volumeMounts?.filter(({ name: mount }) => mount === 'registry-config');
      assert.deepEqual(configMounts(container), configMounts(configuration));
      const path = (it: Container): string | undefined =>
        it.args?.find((arg) => arg.startsWith('--containerd-registry-config-path='));
      assert.equal(path(container), path(configuration));
    });

    it(`excludes hooks from the Services of the agents: ${name}`, async () => {
      const manifests = await render(name);
      const services = manifests.filter(({ kind }) => kind === 'Service');
      for (const { manifest, labels } of podSpecs(manifests)) {
        const hook = manifest.metadata.annotations?.['helm.sh/hook'] !== undefined;
        for (const { metadata, spec } of services) {
          const selector = Object.entries(spec.selector);
          const selected = selector.every(([key, value]) => labels[key] === value);
          const cleanup = metadata.name.endsWith('-cleanup');
          const expected = cleanup ? manifest.metadata.name === metadata.name : !hook;
          assert.equal(selected, expected, `${manifest.metadata.name} behind ${metadata.name}`);
        }
      }
    });
  }

  it('adds the labels of the user to every object, and prefers those of the object itself', async () => {
    // A duplicate label is not valid YAML, so rendering would fail.
    for (const { kind, metadata } of await render('labels that collide')) {
      const own = metadata.annotations?.['helm.sh/hook'] === 'test';
      if (own) continue;
      assert.equal(metadata.labels?.['team'], 'a', `${kind} ${metadata.name}`);
      assert.match(metadata.labels['app.kubernetes.io/name'] ?? '', /^peerglass/);
      const monitoring = /Monitor$|Rule$/.test(kind) ? 'prometheus' : 'x';
      const release = kind === 'ConfigMap' ? 'grafana' : monitoring;
      assert.equal(metadata.labels['release'], release, `${kind} ${metadata.name}`);
    }
  });

  it('limits the length of names', async () => {
    const manifests = await template({ fullnameOverride: 'x'.repeat(63) }, '1.37');
    for (const { metadata } of manifests) assert.ok(metadata.name.length <= 63, metadata.name);
  });

  it('limits the length of labels', async () => {
    const manifests = await template({ nameOverride: 'x'.repeat(63) }, '1.37');
    for (const { labels } of podSpecs(manifests)) {
      for (const value of Object.values(labels)) assert.ok(value.length <= 63, value);
    }
  });
});
