import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';

import { pino } from 'pino';

import { createMetrics } from '../metrics/metrics.ts';
import { HandshakeLog } from './handshake-log.ts';

describe('HandshakeLog', () => {
  it('counts every failure, and logs each reason once a minute with the number since', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const logged = (): unknown[] =>
      lines.splice(0).map((line) => {
        const { reason, times } = JSON.parse(line) as { reason: string; times: number };
        return [reason, times];
      });
    let now = 1_000;
    const clock = mock.method(performance, 'now', () => now);
    try {
      const metrics = createMetrics();
      const log = new HandshakeLog({ metrics, logger });
      for (let index = 0; index < 1_000; index++) log.failed('plain-http');
      log.failed('distrust', new Error('ERR_SSL_X'));
      assert.deepEqual(logged(), [
        ['plain-http', 1],
        ['distrust', 1],
      ]);
      now += 61_000;
      for (let index = 0; index < 3; index++) log.failed('plain-http');
      assert.deepEqual(logged(), [['plain-http', 1_000]]);
      const { values } = await metrics.tlsHandshakeFailures.get();
      assert.deepEqual(
        values.map(({ labels, value }) => [labels.reason, value]),
        [
          ['plain-http', 1_003],
          ['distrust', 1],
        ],
      );
    } finally {
      clock.mock.restore();
    }
  });
});
