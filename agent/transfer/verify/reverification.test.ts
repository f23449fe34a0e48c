import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';
import { providerOf } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';
import { testTls } from '../../testing/test-tls.ts';
import { PeerClient } from '../client/peer-client.ts';
import { PeerScoreboard } from '../select/peer-scoreboard.ts';
import { Reverification } from './reverification.ts';
import { ShareHashes, type DeliveredShares } from './shares.ts';
import { TransferRecord } from './transfer-record.ts';

/** A port on which no program listens. */
const CLOSED = 'http://127.0.0.1:1';
const SIZE = 10_000;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
const descriptor = { mediaType: 'application/octet-stream', digest, size: SIZE };
const nothing: DeliveredShares = { shares: [], digests: [] };
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: '',
  repository: 'team/app',
  digest,
};

/** Sends these bytes as the blob, whenever it is asked. */
const sends = (sent: Buffer) => (socket: Socket) => {
  socket.write(responseHead(200, { 'content-length': SIZE }));
  socket.write(sent);
};

/** Begins the blob, and sends no more of it. */
const drips = (socket: Socket): void => {
  socket.write(responseHead(200, { 'content-length': SIZE }));
  socket.write(bytes.subarray(0, 10));
};

/** A blob of which the first peer delivered the first half, wrong, and the second peer the rest. */
function delivery(peers: Readonly<Record<string, RoguePeer>>) {
  const record = new TransferRecord(request, descriptor);
  const wrong = Buffer.concat([Buffer.alloc(SIZE / 2), bytes.subarray(SIZE / 2)]);
  for (const [index, [peerId, peer]] of Object.entries(peers).entries()) {
    const provider = providerOf(peerId, peer);
    record.deliveredBy(provider);
    if (index === 0) record.forwarded({ start: 0, end: SIZE / 2 - 1 }, provider);
    if (index === 1) record.forwarded({ start: SIZE / 2, end: SIZE - 1 }, provider);
  }
  const hashes = new ShareHashes(record.shares);
  hashes.update(wrong);
  return { record, delivered: { shares: record.shares, digests: hashes.digests } };
}

function start() {
  const metrics = createMetrics();
  const client = new PeerClient({ userAgent: 'test', ...(testTls && { tls: testTls }) });
  const scoreboard = new PeerScoreboard({ metrics, logger: quiet });
  const reverification = new Reverification({ client, scoreboard, logger: quiet });
  const stopping = new AbortController();
  let cleared = 0;
  return {
    run(record: TransferRecord, delivered: DeliveredShares): Promise<boolean> {
      for (const peer of record.peers) scoreboard.record(peer, digest, { kind: 'unverified' });
      const onCleared = (): void => {
        cleared += 1;
      };
      return reverification.run(record, delivered, onCleared, stopping.signal);
    },
    get cleared(): number {
      return cleared;
    },
    isBlocked: (peerId: string): boolean => scoreboard.isBlocked(peerId, digest),
    /** The blocked peers, with the digest mismatches of each. */
    blocked: (): unknown =>
      Object.fromEntries(
        scoreboard.blocklist.status().map(({ peerId, offences }) => [peerId, offences]),
      ),
    stop: (): void => {
      stopping.abort();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await client.close();
    },
  };
}

describe('Reverification', () => {
  it('finds a peer that delivered wrong bytes and sends the right ones when it is asked again', async () => {
    await using liar = await startRogue(sends(bytes));
    await using honest = await startRogue(sends(bytes));
    await using it = start();
    const { record, delivered } = delivery({ liar, honest });
    assert.ok(await it.run(record, delivered));
    assert.deepEqual(it.blocked(), { liar: 1 });
    assert.equal(it.cleared, 1);
  });

  it('finds it also when it sends nothing more, without waiting for it', async () => {
    await using liar = await startRogue(drips);
    await using honest = await startRogue(sends(bytes));
    await using it = start();
    const { record, delivered } = delivery({ liar, honest });
    assert.ok(await it.run(record, delivered));
    assert.deepEqual(it.blocked(), { liar: 1 });
    await eventually(() => {
      assert.equal(liar.open, 0, 'its request is ended');
    });
  });

  it('counts a peer once that is found in both ways, and does not clear it', async () => {
    await using liar = await startRogue(sends(Buffer.alloc(SIZE)));
    await using honest = await startRogue(sends(bytes));
    await using it = start();
    const { record, delivered } = delivery({ liar, honest });
    await it.run(record, delivered);
    assert.deepEqual(it.blocked(), { liar: 1 });
  });

  it('clears an honest peer while another one drips, where the delivered bytes are not known', async () => {
    await using liar = await startRogue(drips);
    await using honest = await startRogue(sends(bytes));
    await using it = start();
    const { record } = delivery({ liar, honest });
    const running = it.run(record, nothing);
    await eventually(() => {
      assert.ok(!it.isBlocked('honest'));
    });
    assert.ok(it.isBlocked('liar'));
    assert.equal(
      await running,
      false,
      'the one that drips is given up, and nothing is known of it',
    );
  });

  it('re-verifies the peers of one blob while those of another drip', async () => {
    await using liar = await startRogue(drips);
    await using honest = await startRogue(sends(bytes));
    await using it = start();
    const dripping = { one: liar, two: liar, three: liar, four: liar, five: liar };
    void it.run(delivery(dripping).record, nothing);
    assert.equal(await it.run(delivery({ honest, other: honest }).record, nothing), false);
    assert.ok(!it.isBlocked('honest') && !it.isBlocked('other'));
  });

  it('asks a busy peer again', async () => {
    let asked = 0;
    await using honest = await startRogue((socket) => {
      asked += 1;
      if (asked > 1) sends(bytes)(socket);
      else socket.write(responseHead(503, { 'content-length': 0, 'retry-after': 1 }));
    });
    await using it = start();
    await it.run(delivery({ honest }).record, nothing);
    assert.equal(asked, 2);
    assert.deepEqual(it.blocked(), {});
  });

  it('asks a peer at its next address when it cannot be reached at the first', async () => {
    await using honest = await startRogue(sends(bytes));
    await using it = start();
    const { record } = delivery({});
    record.deliveredBy({ peerId: 'honest', origins: [CLOSED, honest.origin] });
    await it.run(record, nothing);
    assert.equal(it.cleared, 1);
  });

  it('ends with its signal, and asks no further peer', async () => {
    await using liar = await startRogue(drips);
    await using it = start();
    // One more than are asked at once.
    const { record } = delivery({ one: liar, two: liar, three: liar, four: liar, five: liar });
    const running = it.run(record, nothing);
    await eventually(() => {
      assert.equal(liar.requests.length, 4);
    });
    it.stop();
    assert.equal(await running, false);
    await eventually(() => {
      assert.equal(liar.open, 0);
    });
    assert.equal(liar.requests.length, 4);
    assert.equal(it.cleared, 0);
  });
});
