import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { DnsBootstrapper } from '../routing/bootstrap/dns-bootstrapper.ts';
import { HttpBootstrapper } from '../routing/bootstrap/http-bootstrapper.ts';
import { StaticBootstrapper } from '../routing/bootstrap/static-bootstrapper.ts';
import { registryConfig } from '../testing/registry-config.ts';
import { countRouting, routingSettings } from './routing-options.ts';

type Flags = Parameters<typeof registryConfig>[0];
const settings = (flags: Flags): ReturnType<typeof routingSettings> =>
  routingSettings(registryConfig(flags));

describe('routingSettings', () => {
  for (const [flags, kind] of [
    [{}, StaticBootstrapper],
    [{ 'bootstrap-kind': 'dns', 'dns-bootstrap-domain': 'peers.example' }, DnsBootstrapper],
    [{ 'bootstrap-kind': 'http', 'http-bootstrap-peer': 'http://10.0.0.1:5002' }, HttpBootstrapper],
  ] as const satisfies readonly (readonly [Flags, unknown])[]) {
    it(`makes a ${kind.name} of ${JSON.stringify(flags)}`, () => {
      assert.ok(settings(flags).bootstrapper instanceof kind);
    });
  }

  for (const [address, listen] of [
    [':5001', ['/ip4/0.0.0.0/tcp/5001', '/ip6/::/tcp/5001']],
    ['10.0.0.1:5001', ['/ip4/10.0.0.1/tcp/5001']],
    ['[fd00::1]:5001', ['/ip6/fd00::1/tcp/5001']],
  ] as const) {
    it(`listens for --router-addr ${address} on ${listen.join(' and ')}`, () => {
      assert.deepEqual(settings({ 'router-addr': address }).listen, listen);
    });
  }

  for (const [flags, message] of [
    [{ 'bootstrap-kind': 'dns' }, /--dns-bootstrap-domain NAME/],
    [{ 'bootstrap-kind': 'http' }, /--http-bootstrap-peer URL/],
    [{ 'router-addr': 'node:5001' }, /"node" is no IP address/],
    [{ 'record-refresh': '19m', 'record-validity': '19m' }, /--record-refresh must be shorter/],
  ] as const satisfies readonly (readonly [Flags, RegExp])[]) {
    it(`refuses ${JSON.stringify(flags)} as wrong usage`, () => {
      assert.throws(() => settings(flags), { code: 'ERR_USAGE', message });
    });
  }
});

describe('countRouting', () => {
  it('counts look-ups, batches of records and refusals in the metrics of the same meaning', async () => {
    const metrics = createMetrics();
    const observer = countRouting(metrics);
    observer.onLookup('miss', 0.1);
    observer.onProvide(20, 1_000, 0.2);
    observer.onProvideFailure();
    observer.onWithdrawal(3);
    const text = await metrics.registry.metrics();
    for (const line of [
      /^peerglass_lookup_duration_seconds_count\{result="miss"\} 1$/m,
      /^peerglass_placed_records_total 20$/m,
      /^peerglass_placed_bytes_total 1000$/m,
      /^peerglass_placement_failures_total 1$/m,
      /^peerglass_withdrawn_records_total 3$/m,
    ]) {
      assert.match(text, line);
    }
  });
});
