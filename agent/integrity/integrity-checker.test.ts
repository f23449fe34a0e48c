import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { createMetrics } from '../metrics/metrics.ts';
import type { OpenBlob } from '../store/content-store.ts';
import { StoreUnavailableError } from '../store/content-store.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { digestOf } from '../testing/conformance/content-store.ts';
import { IntegrityChecker } from './integrity-checker.ts';
import { stateOf, VerificationResults } from './verification-results.ts';
import type { Outcome } from './verifier.ts';

const DIGEST = digestOf(Buffer.from('blob'));
const NEVER = new AbortController().signal;

/** An open blob whose file has the given inode. */
function blobOf(ino: bigint): OpenBlob {
  const state = { ino, size: 4n, mtimeNs: 3n, ctimeNs: 4n };
  return {
    digest: DIGEST,
    size: 4,
    file: { path: '/blob', state },
    stream: () => assert.fail('nothing is read here'),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

interface CheckerUnderTest {
  readonly checker: IntegrityChecker;
  readonly results: VerificationResults;
  /** Names of the listener's calls, in order. */
  readonly events: string[];
  /** The outcome of the next verifications. */
  outcome: Outcome;
  verifiedAtCommit: () => Promise<boolean>;
  readonly lines: string[];
  corrupt(): Promise<number | undefined>;
}

function makeChecker(): CheckerUnderTest {
  const metrics = createMetrics();
  const results = new VerificationResults();
  const events: string[] = [];
  const lines: string[] = [];
  const store = Object.assign(new MemoryStore(), {
    verifiedAtCommit: () => test.verifiedAtCommit(),
    lostFile: () => Promise.resolve('/blob'),
  });
  const verify = (): Promise<Outcome> => Promise.resolve(test.outcome);
  const checker = new IntegrityChecker({
    store,
    results,
    verifier: { verify, verifySlowly: verify },
    metrics,
    imagesOf: () => ['docker.io/library/app:1'],
    logger: pino({ level: 'info' }, { write: (line: string) => lines.push(line) }),
  });
  checker.listen({
    withheld: () => events.push('withheld'),
    released: () => events.push('released'),
    unsettled: () => events.push('unsettled'),
  });
  const test: CheckerUnderTest = {
    checker,
    results,
    events,
    lines,
    outcome: 'right',
    verifiedAtCommit: () => Promise.resolve(false),
    corrupt: async () => (await metrics.blobsCorrupt.get()).values[0]?.value,
  };
  return test;
}

describe('IntegrityChecker', () => {
  it('knows a blob by the result for the same state of its file, and by no other', async () => {
    const { checker, results } = makeChecker();
    assert.equal(await checker.lookUp(blobOf(1n)), 'unknown');
    results.set(DIGEST, { state: stateOf(blobOf(1n)), finding: 'right', checkedAt: Date.now() });
    assert.equal(await checker.lookUp(blobOf(1n)), 'right');
    assert.equal(await checker.lookUp(blobOf(2n)), 'unknown');
    results.set(DIGEST, { state: stateOf(blobOf(2n)), finding: 'wrong', checkedAt: Date.now() });
    assert.equal(await checker.lookUp(blobOf(2n)), 'bad');
    assert.ok(checker.isKnownBad(DIGEST));
  });

  it('trusts a verification at commit, and takes an outage for none', async () => {
    const test = makeChecker();
    test.verifiedAtCommit = () => Promise.resolve(true);
    assert.equal(await test.checker.lookUp(blobOf(1n)), 'right');
    test.verifiedAtCommit = () => Promise.reject(new StoreUnavailableError('down'));
    assert.equal(await test.checker.lookUp(blobOf(1n)), 'unknown');
    test.verifiedAtCommit = () => Promise.reject(new TypeError('a bug'));
    await assert.rejects(test.checker.lookUp(blobOf(1n)), TypeError);
  });

  it('lets the result of a blob without a file expire', async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 });
    const { checker, results } = makeChecker();
    const { file, ...unseen } = blobOf(1n);
    assert.ok(file !== undefined);
    results.set(DIGEST, { state: stateOf(unseen), finding: 'right', checkedAt: Date.now() });
    t.mock.timers.tick(3_600_000);
    assert.equal(await checker.lookUp(unseen), 'right');
    t.mock.timers.tick(1);
    assert.equal(await checker.lookUp(unseen), 'unknown');
  });

  it('withholds and logs a bad blob once, and releases it when it is right', async () => {
    const test = makeChecker();
    test.outcome = 'wrong';
    await test.checker.verify(blobOf(1n));
    await test.checker.verifySlowly(blobOf(1n), 1, NEVER);
    assert.equal(await test.corrupt(), 1);
    test.outcome = 'unsettled';
    await test.checker.verify(blobOf(1n));
    assert.ok(test.checker.bad.has(DIGEST), 'it is withheld until it is verified');
    test.outcome = 'right';
    await test.checker.verify(blobOf(1n));
    assert.deepEqual(test.events, ['withheld', 'unsettled', 'released']);
    assert.equal(test.lines.filter((line) => line.includes('wrong bytes')).length, 1);
    assert.equal(await test.corrupt(), 0);
  });

  it('reports a blob that was bad before the start when it is verified as bad again', async () => {
    const test = makeChecker();
    test.checker.withholdUntilVerified(blobOf(1n));
    assert.equal(test.lines.length, 0);
    assert.ok(test.checker.isKnownBad(DIGEST));
    test.outcome = 'unreadable';
    await test.checker.verify(blobOf(1n));
    assert.equal(test.lines.length, 1);
    test.checker.forget(DIGEST);
    assert.equal(await test.corrupt(), 0);
  });

  it('logs the first of many blobs that are lost at one time, and again after these are back', async () => {
    const { checker, lines } = makeChecker();
    const lost = Array.from({ length: 25 }, (_, i) => digestOf(Buffer.from(String(i))));
    for (const digest of lost) assert.equal(await checker.findLost(digest), true);
    assert.equal(lines.length, 20);
    for (const digest of lost) checker.forget(digest);
    for (const digest of lost) await checker.findLost(digest);
    assert.equal(lines.length, 40);
  });
});
