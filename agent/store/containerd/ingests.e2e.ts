import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import { digestOf } from '../../testing/conformance/content-store.ts';
import { ContainerdStore } from '../containerd-store.ts';
import type { Ingest, Ingests } from '../ingests.ts';
import { ContainerdFixture } from '../../testing/containerd-fixture.ts';

const BYTES = randomBytes(1_000_000);
const DIGEST = digestOf(BYTES);
const WRONG = Buffer.concat([BYTES.subarray(0, -1), Buffer.from([(BYTES.at(-1) ?? 0) ^ 1])]);
const NEVER = new AbortController().signal;

describe('unfinished downloads of a real containerd', () => {
  it('are told from others by their digest and namespace', async () => {
    await using test = await start();
    assert.equal(await test.ingests.has(DIGEST), false);
    assert.equal(await test.ingests.open(DIGEST), undefined);
    await test.fixture.leaveIngest(DIGEST, BYTES);
    assert.ok(await test.ingests.has(DIGEST));
    assert.equal(await test.ingests.has(digestOf(WRONG)), false);
    const { socketPath, contentPath } = test.fixture;
    const init = { socketPath, contentPath, logger: pino({ level: 'silent' }) };
    using other = new ContainerdStore({ ...init, namespace: 'moby' });
    assert.equal(await other.ingests.has(DIGEST), false);
  });

  it('are aborted when their bytes are wrong', async () => {
    await using test = await start();
    await test.fixture.leaveIngest(DIGEST, WRONG);
    await using ingest = await openIngest(test.ingests, DIGEST);
    assert.equal(await ingest.state(), 'whole');
    assert.equal(await ingest.abort(NEVER), false, 'not before they are known to be wrong');
    assert.equal(await ingest.verify(NEVER), false);
    assert.equal(await ingest.abort(NEVER), true);
    assert.equal(await ingest.state(), 'removed');
    assert.equal(await test.ingests.has(DIGEST), false);
    assert.equal(await ingest.verify(NEVER), false, 'the open file outlives it');
    assert.equal(await ingest.abort(NEVER), false, 'nothing is there any more');
    // The next pull begins with nothing.
    await test.fixture.leaveIngest(DIGEST, BYTES);
    await using next = await openIngest(test.ingests, DIGEST);
    assert.equal(await next.verify(NEVER), true);
    assert.equal(await ingest.abort(NEVER), false, 'it is not taken for the one before');
    assert.equal(await next.abort(NEVER), false, 'what is right is not aborted');
    assert.equal(await next.state(), 'whole');
  });

  it('are left alone while bytes are missing', async () => {
    await using test = await start();
    await test.fixture.leaveIngest(DIGEST, BYTES.subarray(0, 500_000), BYTES.length);
    await using ingest = await openIngest(test.ingests, DIGEST);
    assert.equal(await ingest.state(), 'arriving');
    assert.equal(await ingest.verify(NEVER), undefined);
    assert.equal(await ingest.abort(NEVER), false);
    assert.equal(await ingest.state(), 'arriving');
  });
});

interface IngestTest extends AsyncDisposable {
  readonly fixture: ContainerdFixture;
  readonly ingests: Ingests;
}

async function start(): Promise<IngestTest> {
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
  return { fixture, ingests: store.ingests, [Symbol.asyncDispose]: dispose };
}

async function openIngest(ingests: Ingests, digest: Digest): Promise<Ingest> {
  const ingest = await ingests.open(digest);
  assert.ok(ingest !== undefined);
  return ingest;
}
