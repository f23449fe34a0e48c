import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { runTool } from '../chart/helm.ts';
import { missing, TOOLS } from '../chart/tools.ts';
import { type AlertName, alertRules, ALERTS } from './alerts.ts';
import { unknownMetrics } from './known-metrics.ts';

/** Series by name, with one value per minute in the notation of promtool. */
type Series = Readonly<Record<string, string>>;

const A = '{job="peerglass",instance="a"}';
const B = '{job="peerglass",instance="b"}';
const OTHER = '{job="other",instance="c"}';
/** 100 requests a minute. */
const REQUESTS = { [`spegel_mirror_requests_total${A}`]: '0+100x60' };
const failures = (metric: string, reason: string, perMinute: number): Series => ({
  [`${metric}{job="peerglass",instance="a",reason="${reason}"}`]: `0+${perMinute}x60`,
});
const decisions = (instance: string, decision: string, perMinute: number): Series => ({
  [`peerglass_fan_out_decisions_total{job="peerglass",instance="${instance}",decision="${decision}"}`]: `0+${perMinute}x60`,
});
const day = 24 * 60 * 60;

/** Series for which each alert fires after an hour, and series for which it does not. */
const CASES: Readonly<
  Record<AlertName, { readonly fires: readonly Series[]; readonly quiet: readonly Series[] }>
> = {
  PeerglassNoPeers: {
    fires: [
      {
        [`peerglass_routing_peers${A}`]: '0x60',
        [`peerglass_ready${A}`]: '1x60',
        [`peerglass_ready${B}`]: '1x60',
      },
    ],
    quiet: [
      { [`peerglass_routing_peers${A}`]: '0x60', [`peerglass_ready${A}`]: '1x60' },
      {
        [`peerglass_routing_peers${A}`]: '0x55 1x5',
        [`peerglass_ready${A}`]: '1x60',
        [`peerglass_ready${B}`]: '1x60',
      },
    ],
  },
  PeerglassNotReady: {
    fires: [{ [`peerglass_ready${A}`]: '1x20 0x40' }],
    quiet: [{ [`peerglass_ready${A}`]: '0x20 1x40' }, { [`peerglass_ready${A}`]: '1x55 0x5' }],
  },
  PeerglassPullsFallThrough: {
    fires: [{ ...REQUESTS, ...failures('peerglass_fall_throughs_total', 'providers-failed', 15) }],
    quiet: [
      { ...REQUESTS, ...failures('peerglass_fall_throughs_total', 'providers-failed', 5) },
      { ...REQUESTS, ...failures('peerglass_fall_throughs_total', 'no-provider', 50) },
      {
        [`spegel_mirror_requests_total${A}`]: '0+1x60',
        ...failures('peerglass_fall_throughs_total', 'lookup-timeout', 1),
      },
    ],
  },
  PeerglassTransfersFail: {
    fires: [{ ...REQUESTS, ...failures('peerglass_peer_failures_total', 'connect', 30) }],
    quiet: [
      { ...REQUESTS, ...failures('peerglass_peer_failures_total', 'connect', 10) },
      { ...REQUESTS, ...failures('peerglass_peer_failures_total', 'busy', 90) },
    ],
  },
  PeerglassEachNodeDownloads: {
    fires: [
      {
        // On two nodes together, of which one has no answers at all.
        ...decisions('a', 'alone', 6),
        ...decisions('b', 'alone', 2),
        ...decisions('b', 'follow', 4),
      },
    ],
    quiet: [
      { ...decisions('a', 'alone', 3), ...decisions('a', 'fetch', 6) },
      // Too few to tell, as in a small cluster: 15 in 15 minutes.
      { ...decisions('a', 'alone', 1) },
      // Switched off, or one of Spegel's.
      REQUESTS,
    ],
  },
  PeerglassUpstreamLimited: {
    fires: [failures('peerglass_upstream_failures_total', 'limited', 1)],
    quiet: [failures('peerglass_upstream_failures_total', 'not-found', 30), REQUESTS],
  },
  PeerglassBlobsCorrupt: {
    fires: [{ [`peerglass_blobs_corrupt${A}`]: '0x30 2x30' }],
    quiet: [{ [`peerglass_blobs_corrupt${A}`]: '2x30 0x30' }],
  },
  PeerglassPeersBanned: {
    fires: [{ 'peerglass_banned_peers{job="peerglass",from="everything"}': '0x50 1x10' }],
    quiet: [{ 'peerglass_banned_peers{job="peerglass",from="content"}': '3x60' }],
  },
  PeerglassContainerdAway: {
    fires: [{ [`peerglass_store_reachable${A}`]: '1x30 0x30' }],
    quiet: [{ [`peerglass_store_reachable${A}`]: '1x57 0x3' }],
  },
  PeerglassEventLoopDelay: {
    fires: [
      { [`nodejs_eventloop_lag_p99_seconds${A}`]: '0.9x60', [`peerglass_ready${A}`]: '0x60' },
    ],
    quiet: [
      { [`nodejs_eventloop_lag_p99_seconds${A}`]: '0.21x60', [`peerglass_ready${A}`]: '1x60' },
      { [`nodejs_eventloop_lag_p99_seconds${OTHER}`]: '0.9x60', [`peerglass_ready${A}`]: '1x60' },
    ],
  },
  PeerglassMemoryNearLimit: {
    fires: [
      {
        [`process_resident_memory_bytes${A}`]: '95x60',
        [`peerglass_memory_limit_bytes${A}`]: '100x60',
      },
    ],
    quiet: [
      {
        [`process_resident_memory_bytes${A}`]: '80x60',
        [`peerglass_memory_limit_bytes${A}`]: '100x60',
      },
      {
        [`process_resident_memory_bytes${A}`]: '95x60',
        [`peerglass_memory_limit_bytes${A}`]: '0x60',
      },
      { [`process_resident_memory_bytes${OTHER}`]: '95x60' },
    ],
  },
  PeerglassCertificateExpires: {
    fires: [
      { [`peerglass_tls_certificate_expiry_timestamp_seconds${A}`]: `${6 * day}x70` },
      { [`peerglass_tls_certificate_expiry_timestamp_seconds${A}`]: '1x70' },
    ],
    quiet: [
      { [`peerglass_tls_certificate_expiry_timestamp_seconds${A}`]: `${8 * day}x70` },
      { [`peerglass_tls_certificate_expiry_timestamp_seconds${A}`]: '0x70' },
    ],
  },
};

describe('ALERTS', () => {
  it('has 6 to 12 alerts', () => {
    const { length } = Object.keys(ALERTS);
    assert.ok(length >= 6 && length <= 12, String(length));
  });

  for (const [name, { expr }] of Object.entries(ALERTS)) {
    it(`uses only existing metrics in ${name}`, () => {
      assert.deepEqual(unknownMetrics(expr), []);
    });
  }

  it('has exactly one runbook for each alert', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/TROUBLESHOOTING.md'), 'utf8');
    const [section = ''] = (page.split('\n## Alerts\n')[1] ?? '').split('\n## ');
    const runbooks = [...section.matchAll(/^### `(\w+)`\n\n\S/gm)].map(([, name]) => name);
    assert.deepEqual(runbooks, Object.keys(ALERTS));
  });
});

const reason = missing('promtool');
if (reason !== undefined) {
  process.stderr.write(`chart: SKIPPED: ${reason}. The alerts were NOT tested.\n`);
}

describe('alertRules', { skip: reason ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'peerglass-alerts-'));
  const rules = join(folder, 'rules.yaml');
  writeFileSync(rules, JSON.stringify({ groups: [{ name: 'peerglass', rules: alertRules() }] }));
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('are valid rules of Prometheus', async () => {
    await runTool(TOOLS.promtool, ['check', 'rules', '--lint=all', '--lint-fatal', rules], '');
  });

  for (const outcome of ['fires', 'quiet'] as const) {
    it(
      outcome === 'fires' ? 'fire for their cause' : 'do not fire without their cause',
      async () => {
        const tests = Object.entries(CASES).flatMap(([name, cases]) =>
          cases[outcome].map((series) => testOf(name, series, outcome === 'fires')),
        );
        const file = join(folder, `${outcome}.yaml`);
        const unit = { rule_files: [rules], evaluation_interval: '1m', tests };
        writeFileSync(file, JSON.stringify(unit));
        await runTool(TOOLS.promtool, ['test', 'rules', file], '');
      },
    );
  }
});

function testOf(alert: string, series: Series, fires: boolean): unknown {
  return {
    name: alert,
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}", alertstate="firing"})`,
        // The alert of the certificate must hold for an hour.
        eval_time: alert === 'PeerglassCertificateExpires' ? '65m' : '60m',
        exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
      },
    ],
  };
}
