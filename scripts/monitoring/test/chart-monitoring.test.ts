import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import packageJson from '../../../package.json' with { type: 'json' };
import { CHART } from '../../chart/generate.ts';
import { runTool, template } from '../../chart/helm.ts';
import type { Manifest } from '../../chart/manifest.ts';
import { missing, TOOLS } from '../../chart/tools.ts';
import { alertRules } from '../alerts.ts';
import { buildDashboard } from '../dashboard.ts';

const reason = missing('helm');
if (reason !== undefined) {
  process.stderr.write(`chart: SKIPPED: ${reason}. Its alerts and dashboard were NOT rendered.\n`);
}

type Rule = Readonly<Record<string, unknown>> & {
  readonly labels: unknown;
  readonly annotations: Readonly<Record<string, string>>;
};

async function render(kind: string, peerglass: unknown): Promise<Manifest | undefined> {
  const manifests = await template({ peerglass }, '1.34');
  return manifests.find((it) => it.kind === kind);
}

/** The rules of the PrometheusRule. */
function rulesOf(manifest: Manifest | undefined): readonly Rule[] {
  assert.ok(manifest !== undefined);
  const { groups } = manifest.spec as unknown as { groups: readonly { rules: readonly Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

describe('the PrometheusRule of the chart', { skip: reason ?? false }, () => {
  it('does not exist unless it is enabled', async () => {
    assert.equal(await render('PrometheusRule', {}), undefined);
  });

  it('contains all alerts', async () => {
    const manifest = await render('PrometheusRule', { prometheusRule: { enabled: true } });
    assert.deepEqual(rulesOf(manifest), alertRules('docs/TROUBLESHOOTING.md'));
  });

  it('links to the runbooks of its version if Chart.yaml has the home of the project', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'peerglass-chart-'));
    try {
      cpSync(CHART, copy, { recursive: true });
      appendFileSync(join(copy, 'Chart.yaml'), 'home: https://git.example/team/peerglass/\n');
      const flag = 'peerglass.prometheusRule.enabled=true';
      const yaml = await runTool(
        TOOLS.helm,
        ['template', copy, '--kube-version', '1.34', '--set', flag],
        '',
      );
      const url = `https://git.example/team/peerglass/blob/v${packageJson.version}/docs/TROUBLESHOOTING.md`;
      assert.ok(yaml.includes(`runbook_url: ${url}#peerglassnopeers`));
    } finally {
      rmSync(copy, { recursive: true });
    }
  });

  it('has the given labels and runbook URL, and no disabled alerts', async () => {
    const manifest = await render('PrometheusRule', {
      prometheusRule: {
        enabled: true,
        labels: { release: 'monitoring' },
        alertLabels: { team: 'nodes', severity: 'page' },
        disabled: ['PeerglassNoPeers'],
        runbookUrl: 'https://wiki.example/peerglass',
      },
    });
    assert.equal(manifest?.metadata.labels?.['release'], 'monitoring');
    const rules = rulesOf(manifest);
    assert.equal(rules.length, alertRules().length - 1);
    assert.equal(rules[0]?.['alert'], 'PeerglassNotReady');
    assert.deepEqual(rules[0].labels, { team: 'nodes', severity: 'page' });
    assert.equal(
      rules[0].annotations['runbook_url'],
      'https://wiki.example/peerglass#peerglassnotready',
    );
  });

  it('is valid for Prometheus', { skip: missing('promtool') ?? false }, async () => {
    const manifest = await render('PrometheusRule', { prometheusRule: { enabled: true } });
    const folder = mkdtempSync(join(tmpdir(), 'peerglass-rule-'));
    try {
      const file = join(folder, 'rules.yaml');
      writeFileSync(file, JSON.stringify(manifest?.spec));
      await runTool(TOOLS.promtool, ['check', 'rules', '--lint=all', '--lint-fatal', file], '');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the dashboard of the chart', { skip: reason ?? false }, () => {
  const dashboard: unknown = JSON.parse(JSON.stringify(buildDashboard()));

  it('does not exist unless it is enabled', async () => {
    const manifests = await template({}, '1.34');
    assert.ok(manifests.every(({ kind }) => !/ConfigMap|GrafanaDashboard/.test(kind)));
  });

  it('is a ConfigMap for the sidecar', async () => {
    const manifests = await template({ grafanaDashboard: { enabled: true } }, '1.34');
    const map = manifests.find(({ kind }) => kind === 'ConfigMap');
    assert.equal(map?.metadata.labels?.['grafana_dashboard'], '1');
    assert.deepEqual(JSON.parse(map.data?.['peerglass.json'] ?? ''), dashboard);
  });

  it('is a GrafanaDashboard for the operator', async () => {
    const grafanaDashboard = {
      enabled: true,
      mode: 'GrafanaOperator',
      grafanaOperator: { folder: 'Nodes', matchLabels: { dashboards: 'grafana' } },
    };
    const manifests = await template({ grafanaDashboard }, '1.34');
    const found = manifests.find(({ kind }) => kind === 'GrafanaDashboard');
    const { json, ...spec } = (found?.spec ?? {}) as unknown as Record<string, unknown>;
    assert.deepEqual(spec, {
      allowCrossNamespaceImport: true,
      folder: 'Nodes',
      resyncPeriod: '10m',
      instanceSelector: { matchLabels: { dashboards: 'grafana' } },
    });
    assert.deepEqual(JSON.parse(String(json)), dashboard);
  });
});
