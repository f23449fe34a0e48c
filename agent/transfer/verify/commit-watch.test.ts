import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import type { Ingest, IngestState } from '../../store/ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { quiet } from '../../testing/quiet.ts';
import { CommitWatch } from './commit-watch.ts';
import { unreadIngest } from '../../testing/unread-ingest.ts';

const bytes = Buffer.from('the content');
const digest: Digest = sha256(bytes);
const never = new AbortController().signal;

/** A store with one ingest that the test controls, on a clock that it controls too. */
function startWatch(t: TestContext, ingest: Partial<Ingest> & { states?: IngestState[] } = {}) {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const { states = ['whole'], ...rest } = ingest;
  const seen = { checks: 0, hashes: 0, aborts: 0, closed: 0 };
  const opened: Ingest = {
    ...unreadIngest,
    digest,
    state: () => Promise.resolve(states[Math.min(seen.checks++, states.length - 1)] ?? 'removed'),
    verify: () => {
      seen.hashes += 1;
      return Promise.resolve(true);
    },
    abort: () => {
      seen.aborts += 1;
      return Promise.resolve(true);
    },
    [Symbol.asyncDispose]: () => {
      seen.closed += 1;
      return Promise.resolve();
    },
    ...rest,
  };
  const store = new MemoryStore();
  const hashInTurn = <T>(hash: () => Promise<T>): Promise<T> => hash();
  const watch = new CommitWatch(
    { store, hashInTurn, logger: quiet },
    { digest, size: bytes.length, opened: Promise.resolve(opened) },
  );
  return {
    watch,
    store,
    seen,
    pass: (milliseconds: number): void => {
      now += milliseconds;
    },
  };
}

describe('CommitWatch', () => {
  it('reports committed, without a hash, when the client has committed the blob', async (t) => {
    const { watch, store, seen } = startWatch(t);
    const running = watch.run(never);
    store.putBlob(bytes, digest);
    assert.equal(await running, 'committed');
    assert.deepEqual(seen, { ...seen, hashes: 0, closed: 1 });
  });

  it('hashes a complete ingest that is not committed in time', async (t) => {
    const { watch, seen, pass } = startWatch(t);
    const running = watch.run(never);
    await eventually(() => {
      assert.ok(seen.checks > 1);
    });
    assert.equal(seen.hashes, 0);
    pass(501);
    assert.equal(await running, 'right');
    assert.equal(seen.hashes, 1);
  });

  it('hashes a complete ingest at once when another request waits', async (t) => {
    const { watch } = startWatch(t);
    const running = watch.run(never);
    watch.hurry();
    assert.equal(await running, 'right');
  });

  it('has a wrong ingest removed, also when the first attempt fails', async (t) => {
    let attempts = 0;
    const { watch } = startWatch(t, {
      verify: () => Promise.resolve(false),
      abort: () => {
        attempts += 1;
        return attempts === 1 ? Promise.reject(new Error('busy')) : Promise.resolve(true);
      },
    });
    watch.hurry();
    assert.equal(await watch.run(never), 'wrong');
    assert.equal(attempts, 2);
  });

  it('hashes from the open file when the ingest is removed and not committed', async (t) => {
    const { watch, seen, pass } = startWatch(t, { states: ['removed'] });
    const running = watch.run(never);
    await eventually(() => {
      assert.ok(seen.checks > 0);
    });
    pass(501);
    assert.equal(await running, 'right');
  });

  it('reports lost when there was no ingest to open', async (t) => {
    const { pass } = startWatch(t);
    const hashInTurn = <T>(hash: () => Promise<T>): Promise<T> => hash();
    const store = new MemoryStore();
    const opened = Promise.resolve(undefined);
    const size = bytes.length;
    const watch = new CommitWatch({ store, hashInTurn, logger: quiet }, { digest, size, opened });
    const running = watch.run(never);
    await new Promise(setImmediate);
    pass(501);
    assert.equal(await running, 'lost');
  });

  it('reports unknown when the client stops before it has all bytes', async (t) => {
    const { watch, seen, pass } = startWatch(t, { states: ['arriving'] });
    const running = watch.run(never);
    await eventually(() => {
      assert.ok(seen.checks > 0);
    });
    assert.equal(await watch.isSettling(), false);
    pass(60_001);
    assert.equal(await running, 'unknown');
  });

  it('is settling once the client has all bytes', async (t) => {
    const { watch } = startWatch(t);
    const stop = new AbortController();
    const running = watch.run(stop.signal);
    assert.equal(await watch.isSettling(), true);
    stop.abort(new Error('stop'));
    await assert.rejects(running, { message: 'stop' });
  });
});
