import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { createMetrics } from '../metrics/metrics.ts';
import { RefusalLog } from './refusal-log.ts';

function createLog(t: TestContext) {
  const addresses: unknown[] = [];
  const logger = pino(
    { level: 'warn' },
    {
      write: (line: string) => {
        addresses.push((JSON.parse(line) as { address: unknown }).address);
      },
    },
  );
  const clock = { now: 1000 };
  t.mock.method(performance, 'now', () => clock.now);
  const metrics = createMetrics();
  return { log: new RefusalLog({ metrics, logger }), metrics, addresses, clock };
}

describe('RefusalLog', () => {
  it('counts each refusal, and logs a host once in ten minutes, whatever its ports', async (t) => {
    const { log, metrics, addresses, clock } = createLog(t);
    for (let port = 1; port <= 100; port++) {
      log.refused('swarm-key', `/ip4/10.0.0.1/tcp/${String(port)}`);
      clock.now += 2000;
    }
    assert.deepEqual(addresses, ['/ip4/10.0.0.1/tcp/1']);
    clock.now += 10 * 60_000;
    log.refused('swarm-key', '10.0.0.1:7');
    log.refused('swarm-key', '/ip4/10.0.0.1/tcp/8');
    assert.equal(addresses.length, 2);
    const { values } = await metrics.refused.get();
    assert.deepEqual(
      values.map(({ labels, value }) => [labels.reason, value]),
      [['swarm-key', 102]],
    );
  });

  it('takes the addresses of one IPv6 host for one, in each form', (t) => {
    const { log, addresses, clock } = createLog(t);
    for (const address of ['[fd00::1]:7', '/ip6/fd00::2/tcp/5001', 'fd00:0:0:0::3:7']) {
      log.refused('unsigned', address);
      clock.now += 2000;
    }
    assert.deepEqual(addresses, ['[fd00::1]:7']);
  });

  it('logs one of many hosts a second', (t) => {
    const { log, addresses, clock } = createLog(t);
    for (let host = 0; host < 100; host++) {
      log.refused('swarm-key', `/ip4/10.0.0.${String(host)}/tcp/5001`);
      clock.now += 100;
    }
    assert.equal(addresses.length, 10);
  });
});
