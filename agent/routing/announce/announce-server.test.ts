import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import fc from 'fast-check';

import { randomPeers, recordKeys, signedAnnouncement } from '../../testing/announcements.ts';
import { startAnnouncingNode, type AnnouncingNode } from '../../testing/announcing-node.ts';
import { until } from '../../testing/conformance/router.ts';
import { frame } from '../dht/frames.ts';
import { distanceTo } from '../dht/kademlia.ts';
import { targetOfRecord } from './announcement.ts';
import type { Passed } from './announce-client.ts';
import { ANNOUNCE, ANNOUNCE_PROTOCOL, encodeAnnounce } from './announce-messages.ts';
import type { HandedOver } from './held-announcements.ts';

const TIMEOUT_MS = 20_000;
const { signal } = new AbortController();
const [key = ''] = recordKeys(['key']);
/** How often one peer is handed records over. */
const PAUSE_MS = 20_000;
const EVERYWHERE = { point: 0, distance: 2 ** 32 - 1 };

/** How much later it is than it was. */
let laterMs: number;
let server: AnnouncingNode;
let sender: AnnouncingNode;

async function start(t: TestContext): Promise<void> {
  laterMs = 0;
  const now = performance.now.bind(performance);
  t.mock.method(performance, 'now', () => now() + laterMs);
  server = await startAnnouncingNode(t, '127.0.0.48');
  sender = await startAnnouncingNode(t, '127.0.0.49');
  await sender.node.dial(server.node.services.listening.addresses());
}

const pass = (envelope: Uint8Array): Promise<Passed> =>
  sender.client.pass(server.peer, envelope, TIMEOUT_MS, signal);

const announce = (envelope: Uint8Array, half: 0 | 1 = 0) =>
  sender.client.announce(server.peer, { envelope, half }, TIMEOUT_MS, signal);

/** What the server hands over; the clock is set forward first, as a peer may ask seldom. */
async function pull(range = EVERYWHERE): Promise<HandedOver[]> {
  laterMs += PAUSE_MS;
  const pulled: HandedOver[] = [];
  const take = (held: HandedOver): Promise<void> => {
    pulled.push({ ...held, envelope: Buffer.from(held.envelope) });
    return Promise.resolve();
  };
  await sender.client.pull(server.peer, range, take, TIMEOUT_MS, signal);
  return pulled;
}

describe('AnnounceServer', () => {
  beforeEach((t) => start(t as TestContext));

  it('stores an announcement of its sender, and has it carried to the half', async () => {
    const [known, unknown] = await randomPeers(2);
    assert.ok(known && unknown);
    const { multiaddrs, envelope } = await signedAnnouncement(['key'], {}, sender.privateKey);
    server.addressBook.set(known.text, known.id.toMultihash().bytes, multiaddrs);
    server.outcome = { taken: 7, strangers: [known, unknown], sequence: 12 };
    const { taken, strangers, sequence } = await announce(envelope, 1);
    assert.deepEqual(server.carried, [[sender.peer.text, 1]]);
    assert.ok(server.records.has(key, sender.peer.text));
    assert.deepEqual([taken, sequence], [8, 12], 'the server has taken it, too');
    assert.deepEqual(
      strangers.map(({ peerId, multiaddrs: addresses }) => [peerId, addresses.map(String)]),
      [[known.text, ['/ip4/10.0.0.7/tcp/5001']]],
      'one without an address is of no use to the sender',
    );
  });

  it('does not carry an announcement for another than its provider', async () => {
    const other = await signedAnnouncement(['key']);
    await assert.rejects(announce(other.envelope));
    assert.deepEqual([server.held.size, server.records.size, server.carried], [0, 0, []]);
    const own = await signedAnnouncement(['key'], {}, sender.privateKey);
    await announce(own.envelope);
    assert.equal(server.carried.length, 1, 'the next stream is served');
  });

  it('stores what a carrier passes, and carries it no further', async () => {
    const { envelope, provider } = await signedAnnouncement(['key']);
    await pass(envelope);
    assert.ok(server.records.has(key, provider.toString()));
    assert.deepEqual(server.carried, []);
  });

  it('stores nothing with a wrong signature', async () => {
    const { envelope } = await signedAnnouncement(['key']);
    const forged = Uint8Array.from(envelope);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    await assert.rejects(pass(forged));
    assert.deepEqual([server.held.size, server.records.size], [0, 0]);
  });

  it('says which sequence of the provider it knows, when it takes none', async () => {
    const later = await signedAnnouncement(['later'], { sequence: 9 }, sender.privateKey);
    const older = await signedAnnouncement(['older'], { sequence: 3 }, sender.privateKey);
    assert.deepEqual(await pass(later.envelope), { isTaken: true, sequence: 0 });
    assert.deepEqual(await pass(older.envelope), { isTaken: false, sequence: 9 });
    const { taken, sequence } = await announce(older.envelope);
    assert.deepEqual([taken, sequence], [0, 9]);
  });

  it('hands over what has a key in the range, with its age', async () => {
    const far = await signedAnnouncement(['far']);
    const near = await signedAnnouncement(['near']);
    server.held.take(far, { from: 'another', ageMs: 60_000 });
    server.held.take(near, { from: 'another' });
    const all = await pull();
    assert.deepEqual(
      all.map(({ envelope }) => envelope),
      [far, near].map(({ envelope }) => Buffer.from(envelope)),
      'in the order in which they came, so that a later one wins there too',
    );
    assert.ok((all[0]?.ageMs ?? 0) >= 60_000);
    const point = targetOfRecord(near.provided[0] ?? '');
    const here = await pull({ point, distance: 0 });
    assert.deepEqual(
      here.map(({ envelope }) => envelope),
      [Buffer.from(near.envelope)],
    );
  });

  it('hands over all of many, though the peer reads slowly and others announce meanwhile', async () => {
    const count = 300;
    for (let label = 0; label < count; label++) {
      server.held.take(await signedAnnouncement([`key ${String(label)}`]), { from: String(label) });
    }
    const later = await signedAnnouncement(['later'], { sequence: 1 }, sender.privateKey);
    server.held.take(later, { from: 'another' });
    const seen = new Set<string>();
    await sender.client.pull(
      server.peer,
      EVERYWHERE,
      async ({ envelope }) => {
        seen.add(Buffer.from(envelope).toString('hex'));
        server.held.take(later, { from: sender.peer.text });
        await new Promise(setImmediate);
      },
      TIMEOUT_MS,
      signal,
    );
    assert.equal(seen.size, count + 1);
  });

  it('hands records over again after a while only', async () => {
    server.held.take(await signedAnnouncement(['key']), { from: 'another' });
    const ask = () =>
      sender.client.pull(server.peer, EVERYWHERE, () => Promise.resolve(), TIMEOUT_MS, signal);
    await ask();
    await assert.rejects(ask());
    laterMs = PAUSE_MS - 5000;
    await assert.rejects(ask());
    assert.equal((await pull()).length, 1);
  });

  it('hands over nothing at a point that is far from it, nor what is farther than that', async () => {
    const names = Array.from({ length: 20 }, (_, at) => `key ${String(at)}`);
    for (const name of names) {
      server.held.take(await signedAnnouncement([name]), { from: 'another' });
    }
    const own = server.peer.prefix;
    server.range = 2 ** 31 - 1;
    const expected = recordKeys(names).filter((it) => {
      return distanceTo(targetOfRecord(it), server.peer) <= server.range;
    });
    assert.ok(expected.length > 0 && expected.length < names.length);
    assert.equal((await pull({ ...EVERYWHERE, point: ~own >>> 0 })).length, 0);
    assert.equal((await pull({ ...EVERYWHERE, point: own })).length, expected.length);
  });

  it('says whether it has got all records that it is to keep', async () => {
    const ask = () => {
      laterMs += PAUSE_MS;
      const take = () => Promise.resolve();
      return sender.client.pull(server.peer, EVERYWHERE, take, TIMEOUT_MS, signal);
    };
    assert.equal(await ask(), true);
    server.isEstablished = false;
    assert.equal(await ask(), false);
  });

  it('ends a stream with anything else, and nothing but that', async () => {
    const junk = fc.uint8Array({ maxLength: 60 }).map((bytes) => Uint8Array.from(bytes));
    const request = fc
      .record({ type: fc.integer({ min: 0, max: 9 }), envelope: junk })
      .map((message) => encodeAnnounce(message));
    const sent = fc.oneof(junk, junk.map(frame), request.map(frame));
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 3 }), async (messages) => {
        const stream = await sender.node.dialProtocol(server.peer.id, ANNOUNCE_PROTOCOL);
        stream.send(Buffer.concat(messages));
        await stream.close().catch(() => undefined);
      }),
      { numRuns: 30 },
    );
    const stream = await sender.node.dialProtocol(server.peer.id, ANNOUNCE_PROTOCOL);
    stream.send(frame(encodeAnnounce({ type: ANNOUNCE.held })));
    await until(() => stream.status !== 'open');
    assert.equal(server.held.size, 0);
    await pass((await signedAnnouncement(['key'])).envelope);
    assert.equal(server.held.size, 1);
  });

  it('ends its streams when it stops, and serves no more', async () => {
    const { envelope } = await signedAnnouncement(['key']);
    await pass(envelope);
    const streams = sender.node
      .getConnections()
      .flatMap((connection) => connection.streams)
      .filter(({ protocol }) => protocol === ANNOUNCE_PROTOCOL);
    assert.equal(streams.length, 1);
    await server.server.stop();
    await until(() => streams.every(({ status }) => status !== 'open'));
    await assert.rejects(pass(envelope));
  });
});
