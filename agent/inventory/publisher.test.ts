import assert from 'node:assert/strict';
import { it } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { eventually } from '../testing/eventually.ts';
import { quiet } from '../testing/quiet.ts';
import { Publisher } from './publisher.ts';

const never = () => Promise.withResolvers<undefined>().promise;

it('ends when told to, though the router never answers', { timeout: 20_000 }, async () => {
  let calls = 0;
  const advertise = () => {
    calls++;
    return never();
  };
  const router = { advertise, withdraw: never };
  const publisher = new Publisher({ router, metrics: createMetrics(), logger: quiet });
  const stop = new AbortController();
  const running = publisher.run(stop.signal);
  publisher.set('key', true);
  await eventually(() => {
    assert.equal(calls, 1);
  });
  stop.abort();
  await running;
});

it('tries again when the router has not answered in time', { timeout: 20_000 }, async () => {
  let calls = 0;
  const advertise = () => (++calls === 1 ? never() : Promise.resolve());
  const router = { advertise, withdraw: never };
  const publisher = new Publisher(
    { router, metrics: createMetrics(), logger: quiet },
    { callTimeoutMs: 10 },
  );
  const stop = new AbortController();
  const running = publisher.run(stop.signal);
  publisher.set('key', true);
  await eventually(() => {
    assert.equal(publisher.published, 1);
  });
  stop.abort();
  await running;
});
