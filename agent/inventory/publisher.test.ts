import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import type { KeyAdvertiser } from '../routing/router.ts';
import { eventually } from '../testing/eventually.ts';
import { quiet } from '../testing/quiet.ts';
import { Publisher } from './publisher.ts';
import type { PublisherInit } from './publisher.ts';

const never = () => Promise.withResolvers<undefined>().promise;

/** A router that takes keys, and the calls that it got. */
class FakeRouter implements KeyAdvertiser {
  readonly keys = new Set<string>();
  readonly calls: string[] = [];
  /** Replaces the result of the next calls, in order. */
  readonly results: Promise<void>[] = [];

  async advertise(keys: readonly string[]): Promise<void> {
    this.calls.push(`advertise ${keys.join()}`);
    await this.results.shift();
    for (const key of keys) this.keys.add(key);
  }

  async withdraw(keys: readonly string[]): Promise<void> {
    this.calls.push(`withdraw ${keys.join()}`);
    await this.results.shift();
    for (const key of keys) this.keys.delete(key);
  }

  isAdvertised(key: string): boolean {
    return this.keys.has(key);
  }
}

function start(t: TestContext, init?: PublisherInit) {
  const router = new FakeRouter();
  const metrics = createMetrics();
  const publisher = new Publisher({ router, metrics, logger: quiet }, init);
  const stop = new AbortController();
  const running = publisher.run(stop.signal);
  t.after(() => {
    stop.abort();
    return running;
  });
  return { router, publisher, metrics, stop, running };
}

describe('Publisher', { timeout: 300_000 }, () => {
  it('ends when its signal aborts, though the router never answers', async (t) => {
    const { router, publisher, stop, running } = start(t);
    router.results.push(never());
    publisher.set('key', true);
    await eventually(() => {
      assert.equal(router.calls.length, 1);
    });
    stop.abort();
    await running;
  });

  it('tries again when the router has not answered in time', async (t) => {
    const { router, publisher, metrics } = start(t, { callTimeoutMs: 10 });
    router.results.push(never());
    publisher.set('key', true);
    await eventually(() => {
      assert.deepEqual([...router.keys], ['key']);
    });
    assert.deepEqual(router.calls, ['advertise key', 'advertise key']);
    assert.match(await metrics.registry.metrics(), /advertise_lag_seconds_count 1/);
  });

  it('sends keys in one batch, and only those that change something', async (t) => {
    const { router, publisher } = start(t);
    publisher.set('stays', true);
    publisher.set('changes its mind', true);
    publisher.set('changes its mind', false);
    publisher.set('too', true);
    publisher.set('unknown', false);
    assert.equal(publisher.isWanted('stays'), true);
    assert.equal(publisher.isWanted('changes its mind'), false);
    await eventually(() => {
      assert.deepEqual(router.calls, ['advertise stays,too']);
    });
    publisher.set('stays', true);
    publisher.set('too', false);
    await eventually(() => {
      assert.deepEqual(router.calls, ['advertise stays,too', 'withdraw too']);
    });
  });

  it('sends a change that comes during a batch after that batch', async (t) => {
    const { router, publisher } = start(t);
    const first = Promise.withResolvers<undefined>();
    router.results.push(first.promise);
    publisher.set('key', true);
    await eventually(() => {
      assert.equal(router.calls.length, 1);
    });
    publisher.set('key', false);
    publisher.set('other', true);
    assert.equal(publisher.isWanted('key'), false);
    first.resolve(undefined);
    await eventually(() => {
      assert.deepEqual([...router.keys], ['other']);
    });
    assert.deepEqual(router.calls, ['advertise key', 'withdraw key', 'advertise other']);
  });
});
