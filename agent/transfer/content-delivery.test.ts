import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import type { Content } from '../content/content-source.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import type { Ingest, Ingests } from '../store/ingests.ts';
import { eventually } from '../testing/eventually.ts';
import { sha256 } from '../testing/image.ts';
import { FixedRouter, providerOf } from '../testing/mirror-node.ts';
import { responseHead, startRogue, type RoguePeer } from '../testing/rogue-peer.ts';
import {
  startTransfer,
  type TransferFixture,
  type TransferFixtureInit,
} from '../testing/transfer-fixture.ts';
import { unreadIngest } from '../testing/unread-ingest.ts';

const SMALL = 1_000;
const LARGE = 3_000_000;
const never = new AbortController().signal;

/** Small content is verified whole; so is everything up to 64 KiB here, to keep large blobs small. */
const verifiedBuffer = { size: 64 * 1024 };

interface Holding extends AsyncDisposable {
  readonly bytes: Buffer;
  readonly peer: RoguePeer;
  readonly fixture: TransferFixture;
  fetch(request?: Partial<ContentRequest>): Promise<Content | undefined>;
}

/** A peer that sends `sent` for the digest of `bytes`, whole or in the range that was requested. */
async function startHolding(
  bytes: Buffer,
  sent: Buffer = bytes,
  init: TransferFixtureInit = {},
): Promise<Holding> {
  const peer = await startRogue((socket, text) => {
    const [, first, last] = /^range: bytes=(\d+)-(\d*)/im.exec(text) ?? [];
    const start = Number(first ?? 0);
    const end = last ? Number(last) : sent.length - 1;
    const headers = {
      'content-length': end - start + 1,
      ...(first !== undefined && { 'content-range': `bytes ${start}-${end}/${sent.length}` }),
    };
    socket.write(responseHead(first === undefined ? 200 : 206, headers));
    if (text.startsWith('GET')) socket.write(sent.subarray(start, end + 1));
  });
  const router = new FixedRouter(providerOf('peer', peer));
  const fixture = startTransfer({ router, verifiedBuffer, ...init });
  const whole: ContentRequest = {
    kind: 'blob',
    method: 'GET',
    registry: '',
    repository: 'team/app',
    digest: sha256(bytes),
  };
  return {
    bytes,
    peer,
    fixture,
    fetch: (request) => fixture.transfer.fetch({ ...whole, ...request }, never),
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
    },
  };
}

function bodyOf(content: Content | undefined): Promise<Buffer> {
  assert.ok(content?.kind === 'stream');
  return buffer(content.body);
}

async function outcomes({ metrics }: TransferFixture): Promise<Record<string, number>> {
  const text = await metrics.registry.getSingleMetricAsString('peerglass_verdicts_total');
  const lines = text.matchAll(/\{result="(\w+)"\} ([1-9]\d*)/g);
  const counts: Record<string, number> = {};
  for (const [, result = '', count] of lines) counts[result] = Number(count);
  return counts;
}

/** An ingest of the client that ends as `verify` finds. */
function ingestsThatAre(isRight: boolean): Ingests {
  return {
    has: () => Promise.resolve(true),
    open: (digest: Digest): Promise<Ingest> =>
      Promise.resolve({
        ...unreadIngest,
        digest,
        state: () => Promise.resolve('whole'),
        verify: () => Promise.resolve(isRight),
        abort: () => Promise.resolve(true),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
}

describe('ContentDelivery', () => {
  it('answers HEAD with the descriptor alone', async () => {
    await using holding = await startHolding(randomBytes(LARGE));
    const content = await holding.fetch({ method: 'HEAD' });
    assert.equal(content?.kind, 'head');
    assert.equal(content.descriptor.size, LARGE);
    assert.equal(content.origin, holding.peer.origin);
  });

  it('gives small content whole and verified', async () => {
    await using holding = await startHolding(randomBytes(SMALL));
    const content = await holding.fetch();
    assert.ok(content?.kind === 'whole' && content.bytes.equals(holding.bytes));
    assert.deepEqual(await outcomes(holding.fixture), {}, 'it is not counted as cut through');
  });

  it('never gives small content whose digest is wrong', async () => {
    await using holding = await startHolding(randomBytes(SMALL), Buffer.alloc(SMALL));
    assert.equal(await holding.fetch(), undefined);
  });

  it('gives a blob as it arrives where a second is not enough to receive it at present', async (t) => {
    const bytes = randomBytes(2_000_000);
    await using peer = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': bytes.length }));
      let sent = 0;
      const timer = setInterval(() => {
        socket.write(bytes.subarray(sent, (sent += 20_000)));
      }, 100);
      socket.on('close', () => {
        clearInterval(timer);
      });
    });
    const router = new FixedRouter(providerOf('peer', peer));
    await using fixture = startTransfer({ router });
    const fetch = (): Promise<Content | undefined> => {
      const named = { registry: '', repository: 'team/app', digest: sha256(bytes) };
      const leaving = new AbortController();
      t.after(() => {
        leaving.abort();
      });
      return fixture.transfer.fetch({ kind: 'blob', method: 'GET', ...named }, leaving.signal);
    };
    assert.equal(await fetch(), undefined, 'it is to be verified first, and that takes too long');
    const content = await fetch();
    assert.ok(content?.kind === 'stream');
    for await (const chunk of content.body) {
      assert.ok(chunk.length > 0);
      break;
    }
  });

  it('requests small content whole when only a range of it is wanted', async () => {
    await using holding = await startHolding(randomBytes(SMALL));
    const content = await holding.fetch({ range: { kind: 'between', start: 10, end: 19 } });
    assert.ok(content?.kind === 'whole' && content.bytes.equals(holding.bytes));
    const ranges = holding.peer.requests.map((text) => /^range: (\S+)/im.exec(text)?.[1]);
    assert.deepEqual(ranges, ['bytes=10-19', undefined]);
  });

  it('refuses a manifest that is larger than manifests may be', async () => {
    await using peer = await startRogue((socket) => {
      const headers = {
        'content-length': MAX_MANIFEST_BYTES + 1,
        'content-type': MEDIA_TYPE.ociManifest,
      };
      socket.write(responseHead(200, headers));
      socket.write('{');
    });
    await using fixture = startTransfer({ router: new FixedRouter(providerOf('peer', peer)) });
    const digest = sha256(Buffer.from('x'));
    const base = { registry: '', repository: 'team/app', digest, method: 'GET' } as const;
    assert.equal(await fixture.transfer.fetch({ ...base, kind: 'manifest' }, never), undefined);
  });

  it('hashes a large blob in passing for a client that is not known to verify it', async () => {
    await using holding = await startHolding(randomBytes(LARGE));
    assert.ok((await bodyOf(await holding.fetch())).equals(holding.bytes));
    assert.deepEqual(await outcomes(holding.fixture), { right: 1 });
  });

  it('withholds the end of a large blob whose digest is wrong, and blocks the peer', async () => {
    await using holding = await startHolding(randomBytes(LARGE), randomBytes(LARGE));
    const content = await holding.fetch();
    await assert.rejects(bodyOf(content), { reason: 'digest' });
    assert.deepEqual(await outcomes(holding.fixture), { wrong: 1 });
    assert.deepEqual(holding.fixture.transfer.blocklist.count(), { everything: 0, keys: 1 });
  });

  it('gives a range of a large blob unverified', async () => {
    await using holding = await startHolding(randomBytes(LARGE));
    const content = await holding.fetch({ range: { kind: 'between', start: 7, end: 100_006 } });
    assert.ok((await bodyOf(content)).equals(holding.bytes.subarray(7, 100_007)));
    assert.deepEqual(await outcomes(holding.fixture), {});
  });

  it('cuts a large blob through for a client that verifies it, and watches the commit', async () => {
    const wrong = randomBytes(LARGE);
    const init = { ingests: ingestsThatAre(false) };
    await using holding = await startHolding(randomBytes(LARGE), wrong, init);
    assert.ok((await bodyOf(await holding.fetch())).equals(wrong), 'the client verifies it');
    await eventually(async () => {
      assert.deepEqual(await outcomes(holding.fixture), { wrong: 1 });
      assert.deepEqual(holding.fixture.transfer.blocklist.count(), { everything: 0, keys: 1 });
    });
  });

  it('looks for the ingest of the client once, and closes it with a body that is not read', async (t) => {
    const closed: string[] = [];
    const ingests = ingestsThatAre(true);
    const open = ingests.open.bind(ingests);
    ingests.open = async (digest) => {
      const ingest = await open(digest);
      if (ingest !== undefined)
        ingest[Symbol.asyncDispose] = () => {
          closed.push(digest);
          return Promise.resolve();
        };
      return ingest;
    };
    const looks = [t.mock.method(ingests, 'has'), t.mock.method(ingests, 'open')];
    await using holding = await startHolding(randomBytes(LARGE), undefined, { ingests });
    const unread = await holding.fetch();
    assert.equal(unread?.kind, 'stream');
    assert.deepEqual(closed, []);
    await unread.held?.[Symbol.asyncDispose]();
    assert.equal(closed.length, 1);
    const content = await holding.fetch();
    assert.ok((await bodyOf(content)).equals(holding.bytes));
    await eventually(() => {
      assert.equal(closed.length, 2);
    });
    assert.ok(content?.kind === 'stream');
    await content.held?.[Symbol.asyncDispose]();
    assert.equal(closed.length, 2, 'once');
    const count = looks.reduce((sum, { mock }) => sum + mock.callCount(), 0);
    assert.equal(count, 2);
  });
});
