import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { runTool } from '../chart/helm.ts';
import { missing, TOOLS } from '../chart/tools.ts';
import { type AlertName, alertRules, ALERTS } from './alerts.ts';
import { knownMetrics, unknownMetrics } from './known-metrics.ts';
import { metricNames } from './metric-names.ts';

/** Series by name, a value a minute in the notation of promtool. */
type Series = Readonly<Record<string, string>>;

const A = '{job="peerglass",instance="a"}';
const B = '{job="peerglass",instance="b"}';
const OTHER = '{job="other",instance="c"}';
/** 100 requests a minute. */
const REQUESTS = { [`spegel_mirror_requests_total${A}`]: '0+100x60' };
const failures = (metric: string, reason: string, perMinute: number): Series => ({
  [`${metric}{job="peerglass",instance="a",reason="${reason}"}`]: `0+${perMinute}x60`,
});
const day = 24 * 60 * 60;

/** Series with which each alert fires after an hour, and some with which it does not. */
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

describe('the alerts', () => {
  it('are 6 to 10', () => {
    const { length } = Object.keys(ALERTS);
    assert.ok(length >= 6 && length <= 10, String(length));
  });

  for (const [name, { expr }] of Object.entries(ALERTS)) {
    it(`name metrics that exist: ${name}`, () => {
      assert.deepEqual(unknownMetrics(expr), []);
    });
  }

  it('have a runbook each, and there is none for another', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/TROUBLESHOOTING.md'), 'utf8');
    const [section = ''] = (page.split('\n## Alerts\n')[1] ?? '').split('\n## ');
    const runbooks = [...section.matchAll(/^### `(\w+)`\n\n\S/gm)].map(([, name]) => name);
    assert.deepEqual(runbooks, Object.keys(ALERTS));
  });
});

describe('what an expression asks for', () => {
  for (const [expr, names] of [
    [
      'sum by (job) (rate(http_request_duration_seconds_count{a="b_c"}[5m])) > 1e6',
      ['http_request_duration_seconds'],
    ],
    ['a_total and on (job) count without (x) (b_count) offset 5m', ['a_total', 'b_count']],
  ] as const) {
    it(expr, () => {
      const isHistogram = (name: string): boolean => knownMetrics().get(name) === 'histogram';
      assert.deepEqual(
        [...metricNames(expr.replace('offset 5m', 'or c'), isHistogram)].filter((it) => it !== 'c'),
        names,
      );
    });
  }

  it('tells what does not exist', () => {
    assert.deepEqual(unknownMetrics('peerglass_ready + peerglass_redy'), ['peerglass_redy']);
  });
});

const reason = missing('promtool');
if (reason !== undefined) {
  process.stderr.write(`chart: SKIPPED: ${reason}. The alerts were NOT tested.\n`);
}

describe('the alerts in Prometheus', { skip: reason ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'peerglass-alerts-'));
  const rules = join(folder, 'rules.yaml');
  writeFileSync(rules, JSON.stringify({ groups: [{ name: 'peerglass', rules: alertRules() }] }));
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('are valid', async () => {
    await runTool(TOOLS.promtool, ['check', 'rules', '--lint=all', '--lint-fatal', rules], '');
  });

  for (const outcome of ['fires', 'quiet'] as const) {
    it(outcome === 'fires' ? 'fire' : 'do not fire without a cause', async () => {
      const tests = Object.entries(CASES).flatMap(([name, cases]) =>
        cases[outcome].map((series) => testOf(name, series, outcome === 'fires')),
      );
      const file = join(folder, `${outcome}.yaml`);
      const unit = { rule_files: [rules], evaluation_interval: '1m', tests };
      writeFileSync(file, JSON.stringify(unit));
      await runTool(TOOLS.promtool, ['test', 'rules', file], '');
    });
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
        // The certificate's alert waits for an hour.
        eval_time: alert === 'PeerglassCertificateExpires' ? '65m' : '60m',
        exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
      },
    ],
  };
}
