import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Health } from './health.ts';

/** Health of a node whose store is listed, with so many peers. */
function healthWith(peers: number, bootstrapped: boolean): Health {
  const health = new Health();
  health.watch({
    inventory: { status: () => ({ synced: true, images: 0, blobs: 0 }) },
    router: { status: () => ({ peers, bootstrapped, advertisedKeys: 0, records: 0 }) },
  });
  return health;
}

describe('Health', () => {
  it('is not ready before it watches the parts, and names what may keep the store from being listed', () => {
    const { ready, checks } = new Health().readiness();
    assert.equal(ready, false);
    assert.deepEqual(checks['process'], { ok: false, reason: 'starting' });
    assert.match(checks['store']?.reason ?? '', /containerd.*--oci-layout/);
  });

  it('is ready with a listed store and a peer', () => {
    assert.equal(healthWith(1, false).readiness().ready, true);
  });

  it('is ready without peers when bootstrap found that there are none', () => {
    assert.equal(healthWith(0, true).readiness().ready, true);
  });

  it('waits ten seconds for a peer while bootstrap has not ended, then is ready alone', (t) => {
    let now = 1_000;
    t.mock.method(performance, 'now', () => now);
    const health = healthWith(0, false);
    assert.deepEqual(health.readiness().checks['directory'], {
      ok: false,
      reason: 'no peer known',
    });
    now += 10_001;
    assert.equal(health.readiness().ready, true);
  });

  it('is not ready from the begin of the end', () => {
    const health = healthWith(1, true);
    health.stopping();
    assert.deepEqual(health.readiness().checks['process'], { ok: false, reason: 'stopping' });
    assert.equal(health.readiness().ready, false);
  });
});
