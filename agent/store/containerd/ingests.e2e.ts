import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { digestOf } from '../../testing/conformance/content-store.ts';
import { ingestsConformance, type IngestsUnderTest } from '../../testing/conformance/ingests.ts';
import { ContainerdFixture, containerdBinary } from '../../testing/containerd-fixture.ts';
import { ContainerdStore } from '../containerd-store.ts';

const BYTES = randomBytes(1_000_000);
const DIGEST = digestOf(BYTES);
const WRONG = Buffer.from(BYTES).fill(0, 0, 100);
const NEVER = new AbortController().signal;

interface ContainerdIngests extends IngestsUnderTest {
  readonly fixture: ContainerdFixture;
}

async function start(): Promise<ContainerdIngests> {
  const fixture = await ContainerdFixture.create();
  const { socketPath, contentPath, namespace } = fixture;
  const logger = pino({ level: 'silent' });
  const store = new ContainerdStore({ socketPath, contentPath, namespace, logger });
  const dispose = async (): Promise<void> => {
    store[Symbol.dispose]();
    await fixture[Symbol.asyncDispose]();
  };
  try {
    await fixture.start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    fixture,
    ingests: store.ingests,
    begin: (digest, total) => fixture.begin(digest, total),
    [Symbol.asyncDispose]: dispose,
  };
}

ingestsConformance(`ContainerdStore with ${containerdBinary()}`, start, { restarts: false });

describe('unfinished downloads of a real containerd', () => {
  it('are not found from another namespace', async () => {
    await using test = await start();
    await test.begin(DIGEST, BYTES.length);
    assert.ok(await test.ingests.has(DIGEST));
    const { socketPath, contentPath } = test.fixture;
    const init = { socketPath, contentPath, logger: pino({ level: 'silent' }) };
    using other = new ContainerdStore({ ...init, namespace: 'moby' });
    assert.equal(await other.ingests.has(DIGEST), false);
  });

  it('begin with no bytes after a wrong one was aborted', async () => {
    await using test = await start();
    const failed = await test.fixture.begin(DIGEST, BYTES.length);
    await failed.write(WRONG);
    await failed.leave();
    await using wrong = await test.ingests.open(DIGEST);
    assert.ok(wrong !== undefined);
    assert.equal(await wrong.verify(NEVER), false);
    assert.equal(await wrong.abort(NEVER), true);
    assert.equal(await wrong.verify(NEVER), false, 'the open file outlives it');
    const download = await test.begin(DIGEST, BYTES.length);
    await using next = await test.ingests.open(DIGEST);
    assert.ok(next !== undefined);
    assert.equal((await next.progress()).offset, 0);
    await download.write(BYTES);
    assert.equal(await next.verify(NEVER), true);
    assert.equal(await wrong.abort(NEVER), false, 'it is not taken for the one before');
    assert.equal(await next.abort(NEVER), false, 'what is right is not aborted');
    assert.equal(await next.state(), 'whole');
  });

  it('wake a follower at each write, and print how late', async () => {
    await using test = await start();
    const download = await test.begin(DIGEST, BYTES.length);
    await using ingest = await test.ingests.open(DIGEST);
    assert.ok(ingest !== undefined);
    const delays: number[] = [];
    for (let start = 0; start < BYTES.length; start += 50_000) {
      const waiting = ingest.waitForMore(start, NEVER).then(() => performance.now());
      await download.write(BYTES.subarray(start, start + 50_000));
      const answered = performance.now();
      delays.push((await waiting) - answered);
    }
    await download.commit();
    assert.equal(await ingest.state(), 'removed');
    const worst = Math.max(...delays).toFixed(1);
    process.stderr.write(`a follower woke at most ${worst} ms after containerd answered\n`);
  });
});
