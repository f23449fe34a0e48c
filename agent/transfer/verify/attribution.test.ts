import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Provider } from '../../routing/router.ts';
import type { Ingest } from '../../store/ingests.ts';
import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';
import { providerOf } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';
import { testTls } from '../../testing/test-tls.ts';
import { PeerClient } from '../client/peer-client.ts';
import { PeerScoreboard } from '../select/peer-scoreboard.ts';
import { Attribution } from './attribution.ts';
import { unreadIngest } from '../../testing/unread-ingest.ts';

const SIZE = 10_000;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
const descriptor = { mediaType: 'application/octet-stream', digest, size: SIZE };
const never = new AbortController().signal;
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: '',
  repository: 'team/app',
  digest,
};

/** A peer that sends these bytes whenever it is asked. */
function startPeer(sent: Buffer): Promise<RoguePeer> {
  return startRogue((socket) => {
    socket.write(responseHead(200, { 'content-length': SIZE }));
    socket.write(sent);
  });
}

/**
 * An attribution over a store whose client received the blob, right or wrong.
 *
 * @param received the bytes of the ingest; they can be read after it was aborted
 */
function startAttribution(isRight: boolean, received?: Buffer) {
  const metrics = createMetrics();
  const verified = Promise.withResolvers<boolean>();
  let isAborted = false;
  const ingest: Ingest = {
    ...unreadIngest,
    ...(received && { read: () => Readable.from([received]) }),
    digest,
    state: () => Promise.resolve(isAborted && received ? 'removed' : 'whole'),
    verify: () => verified.promise,
    abort: () => {
      isAborted = true;
      return Promise.resolve(true);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const store = new MemoryStore({
    has: (asked) => Promise.resolve(asked === digest),
    open: (asked) => Promise.resolve(asked === digest ? ingest : undefined),
  });
  const client = new PeerClient({ userAgent: 'test', ...(testTls && { tls: testTls }) });
  const scoreboard = new PeerScoreboard({ metrics, logger: quiet });
  const wrong: Digest[] = [];
  const onWrong = (found: Digest): number => wrong.push(found);
  const parts = { store, client, scoreboard, metrics, onWrong, logger: quiet };
  const attribution = new Attribution(parts);
  return {
    attribution,
    /** What the followers of this node learn to be wrong. */
    wrong,
    isBlocked: (peerId: string): boolean => scoreboard.isBlocked(peerId, digest),
    /** The blocked peers, with the digest mismatches of each. */
    blocked: (): unknown =>
      Object.fromEntries(
        scoreboard.blocklist.status().map(({ peerId, offences }) => [peerId, offences]),
      ),
    /** Delivers the blob, each of the peers the same share of it. */
    deliver(...peers: readonly Provider[]) {
      const record = attribution.recordFor(request, descriptor);
      const share = SIZE / peers.length;
      for (const [index, peer] of peers.entries()) {
        record.deliveredBy(peer);
        record.forwarded({ start: index * share, end: (index + 1) * share - 1 }, peer);
      }
      attribution.bodyEnded(record, attribution.openIngest(descriptor));
      return record;
    },
    /** Ends the hash of the ingest. */
    hash(): void {
      verified.resolve(isRight);
    },
    async outcomes(): Promise<unknown> {
      const { values } = await metrics.deliveryResults.get();
      return Object.fromEntries(
        values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.result, value]),
      );
    },
    async [Symbol.asyncDispose]() {
      attribution.stop();
      await client.close();
    },
  };
}

const sole: Provider = { peerId: 'sole', origins: [] };

describe('Attribution', () => {
  it('knows which blobs the client of the store is about to receive', async () => {
    await using it = startAttribution(true);
    assert.ok(await it.attribution.openIngest(descriptor));
    const other = { ...descriptor, digest: image.config };
    assert.equal(await it.attribution.openIngest(other), undefined);
  });

  it('keeps one record for all bodies of a blob until its outcome is known', async () => {
    await using it = startAttribution(true);
    const record = it.deliver(sole);
    assert.equal(it.attribution.recordFor(request, descriptor), record);
    it.hash();
    await it.attribution.waitFor(digest, never);
    assert.deepEqual(await it.outcomes(), { right: 1 });
    assert.notEqual(it.attribution.recordFor(request, descriptor), record);
  });

  it('blocks the sole peer of a wrong blob before the next request goes on', async () => {
    await using it = startAttribution(false);
    it.deliver(sole);
    const waiting = it.attribution.waitFor(digest, never);
    it.hash();
    await waiting;
    assert.deepEqual(it.blocked(), { sole: 1 });
    assert.deepEqual(await it.outcomes(), { wrong: 1 });
    assert.deepEqual(it.wrong, [digest]);
  });

  it('re-verifies several peers, and clears those that send the right bytes', async () => {
    await using liar = await startPeer(Buffer.alloc(SIZE));
    await using honest = await startPeer(bytes);
    await using it = startAttribution(false);
    it.deliver(providerOf('liar', liar), providerOf('honest', honest));
    it.hash();
    await it.attribution.waitFor(digest, never);
    await eventually(() => {
      assert.deepEqual(it.blocked(), { liar: 1 });
    });
  });

  it('finds a peer by the bytes in the ingest, although it behaves when it is asked again', async () => {
    await using liar = await startPeer(bytes);
    await using honest = await startPeer(bytes);
    const received = Buffer.concat([Buffer.alloc(SIZE / 2), bytes.subarray(SIZE / 2)]);
    await using it = startAttribution(false, received);
    it.deliver(providerOf('liar', liar), providerOf('honest', honest));
    it.hash();
    await it.attribution.waitFor(digest, never);
    await eventually(() => {
      assert.deepEqual(it.blocked(), { liar: 1 });
      assert.ok(!it.attribution.isUnresolved('liar') && !it.attribution.isUnresolved('honest'));
    });
  });

  it('clears an honest peer at once, while another one drips a body of any length', async () => {
    await using liar = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': 2 ** 30 }));
      const drip = setInterval(() => socket.write('x'), 100);
      socket.once('close', () => {
        clearInterval(drip);
      });
    });
    await using honest = await startPeer(bytes);
    await using it = startAttribution(false);
    it.deliver(providerOf('liar', liar), providerOf('honest', honest));
    it.hash();
    await it.attribution.waitFor(digest, never);
    await eventually(() => {
      assert.ok(!it.isBlocked('honest'));
    });
    assert.ok(it.isBlocked('liar'));
  });

  it('remembers the peers of a wrong blob of which no sender was found', async () => {
    await using one = await startPeer(bytes);
    await using other = await startPeer(bytes);
    await using it = startAttribution(false);
    it.deliver(providerOf('one', one), providerOf('other', other));
    it.hash();
    await eventually(async () => {
      assert.deepEqual(await it.outcomes(), { wrong: 1 });
      assert.ok(it.attribution.isUnresolved('one') && it.attribution.isUnresolved('other'));
      assert.deepEqual(it.blocked(), {});
    });
    assert.ok(!it.attribution.isUnresolved('third'));
  });

  it('watches a delivery while the peers of an earlier one are still re-verified', async () => {
    await using liar = await startRogue(() => undefined);
    await using it = startAttribution(false);
    it.deliver(providerOf('liar', liar), providerOf('other', liar));
    it.hash();
    await eventually(() => {
      assert.ok(it.isBlocked('liar'));
    });
    it.deliver(sole);
    await eventually(() => {
      assert.ok(it.isBlocked('sole'));
    });
  });

  it('finds the wrong bytes of an ingest that was removed before the body had ended here', async () => {
    const ingests = new MemoryIngests();
    const metrics = createMetrics();
    const scoreboard = new PeerScoreboard({ metrics, logger: quiet });
    const store = new MemoryStore(ingests);
    const client = new PeerClient({ userAgent: 'test' });
    const attribution = new Attribution({ store, client, scoreboard, metrics, logger: quiet });
    const download = ingests.begin(digest, SIZE);
    const record = attribution.recordFor(request, descriptor);
    const opened = attribution.openIngest(descriptor);
    record.deliveredBy(sole);
    record.forwarded({ start: 0, end: SIZE - 1 }, sole);
    download.write(Buffer.alloc(SIZE));
    download.end();
    attribution.bodyEnded(record, opened);
    await eventually(() => {
      assert.ok(scoreboard.isBlocked('sole', digest));
    });
    attribution.stop();
    await client.close();
  });

  it('closes the ingest of a body that did not end with the last byte', async () => {
    await using it = startAttribution(true);
    const record = it.attribution.recordFor(request, descriptor);
    const closed = Promise.withResolvers<undefined>();
    const ingests = new MemoryIngests();
    ingests.begin(digest, SIZE);
    const ingest = await ingests.open(digest);
    assert.ok(ingest !== undefined);
    ingest[Symbol.asyncDispose] = () => {
      closed.resolve(undefined);
      return Promise.resolve();
    };
    it.attribution.bodyEnded(record, Promise.resolve(ingest));
    await closed.promise;
    assert.deepEqual(await it.outcomes(), {});
  });

  it('does not let a request wait while the client has not received all of the blob', async () => {
    await using it = startAttribution(true);
    const record = it.attribution.recordFor(request, descriptor);
    record.deliveredBy(sole);
    record.forwarded({ start: 0, end: SIZE - 2 }, sole);
    it.attribution.bodyEnded(record, it.attribution.openIngest(descriptor));
    await it.attribution.waitFor(digest, never);
    assert.deepEqual(await it.outcomes(), {});
  });

  it('stops waiting when the request is cancelled', async () => {
    await using it = startAttribution(true);
    it.deliver(sole);
    await it.attribution.waitFor(digest, AbortSignal.abort());
    assert.deepEqual(await it.outcomes(), {});
  });

  it('blocks the peer of a digest mismatch that was found in passing', async () => {
    await using it = startAttribution(true);
    const record = it.attribution.recordFor(request, descriptor);
    record.deliveredBy(sole);
    record.forwarded({ start: 0, end: SIZE - 1 }, sole);
    await it.attribution.digestMismatch(record);
    assert.deepEqual(it.blocked(), { sole: 1 });
    assert.deepEqual(it.wrong, [], 'another client got it: nodes follow what the store receives');
  });
});
