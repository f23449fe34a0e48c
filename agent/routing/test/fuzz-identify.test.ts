import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record';
import { multiaddr } from '@multiformats/multiaddr';

import { until } from '../../testing/conformance/router.ts';
import { fuzzAsync } from '../../testing/fuzz/fuzz.ts';
import { addressOf, startRoutingNode } from '../../testing/routing-node.ts';
import { silent } from '../../testing/test-network.ts';
import { StaticBootstrapper } from '../bootstrap/static-bootstrapper.ts';
import { createRouterParts, type RouterParts } from '../create-router-parts.ts';
import { frame } from '../dht/frames.ts';
import { LookupKeys } from '../dht/lookup-keys.ts';
import { field } from '../dht/protobuf.ts';
import { ProviderRecords } from '../dht/provider-records.ts';
import { NegativeCache } from '../lookup/negative-cache.ts';
import { DHT_PROTOCOL, type RoutingNode } from '../node/libp2p-node.ts';
import { MAX_STORED_ADDRESSES } from '../node/peer-store-bounds.ts';
import { startStages, stopStages } from '../stages.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
const IDENTIFY = '/ipfs/id/1.0.0';
/** Numbers of the fields in libp2p's specification of identify. */
const FIELD = { key: 1, listen: 2, protocol: 3, observed: 4, agent: 6, record: 8 } as const;
/** A stream for each, which takes a millisecond. */
const ITERATIONS = 400;

const privateKey = await generateKeyPair('Ed25519');
const peerId = peerIdFromPrivateKey(privateKey);
const ADDRESSES = [
  '/ip4/10.0.0.7/tcp/5001',
  '/ip6/fd00::7/tcp/5001',
  '/ip4/10.0.0.7/tcp/6000/http',
];
const sealed = await RecordEnvelope.seal(
  new PeerRecord({ peerId, multiaddrs: ADDRESSES.map((text) => multiaddr(text)) }),
  privateKey,
);
const text = (words: string): Uint8Array => Buffer.from(words);
const bytesOf = (address: string): Uint8Array => multiaddr(address).bytes;
const KEY = field(FIELD.key, publicKeyToProtobuf(privateKey.publicKey));
const PLAIN = Buffer.concat([
  KEY,
  ...ADDRESSES.map((address) => field(FIELD.listen, bytesOf(address))),
  field(FIELD.protocol, text(DHT_PROTOCOL)),
  field(FIELD.protocol, text('/peerglass/withdraw/1.0.0')),
  field(FIELD.observed, bytesOf('/ip4/127.0.0.1/tcp/40000')),
  field(FIELD.agent, text('peerglass')),
]);
const SIGNED = Buffer.concat([PLAIN, field(FIELD.record, sealed.marshal())]);

describe('what a peer says of itself', () => {
  let parts: RouterParts;
  let peer: RoutingNode;
  let connection: Connection | undefined;
  let said: Uint8Array = PLAIN;
  const ends: (() => unknown)[] = [];

  before(async () => {
    parts = await startedParts();
    const life = { after: (end: () => unknown) => ends.push(end) };
    peer = await startRoutingNode(
      life as unknown as TestContext,
      '127.0.0.46',
      undefined,
      privateKey,
    );
    await peer.unhandle(IDENTIFY);
    await peer.handle(IDENTIFY, (stream) => {
      // The node may have ended the stream before all of a long message was sent.
      stream.send(said);
      stream.close().catch(() => undefined);
    });
  });
  after(async () => {
    for (const end of ends) await end();
    await stopStages(parts);
  });

  for (const [name, wrap] of [
    ['identify messages', frame],
    ['streams of identify', (input: Uint8Array) => input],
  ] as const) {
    fuzzAsync(CORPORA, {
      name,
      seeds: [PLAIN, SIGNED, Buffer.concat([frame(PLAIN), frame(KEY)])].map((seed) =>
        wrap === frame ? seed : frame(seed),
      ),
      words: [KEY, bytesOf('/dns4/node.example/tcp/5001'), text(DHT_PROTOCOL)].map((word) =>
        Buffer.from(word).toString('latin1'),
      ),
      errors: [],
      iterations: ITERATIONS,
      async parse(input) {
        // In a long run the node ends the connection with a peer that does not answer its questions.
        if (connection?.status !== 'open') {
          said = frame(PLAIN);
          connection = await parts.node.dial(multiaddr(addressOf(peer)));
        }
        said = wrap(input);
        // libp2p catches each error of it. One of our listeners would end the process, and fail this test.
        const result = await parts.node.services.identify.identify(connection).then(
          () => 'taken',
          (error: unknown) => (error instanceof Error ? error.name : 'unknown'),
        );
        const stored = await parts.node.peerStore.get(peer.peerId);
        assert.ok(stored.addresses.length <= MAX_STORED_ADDRESSES);
        return { [result]: '' };
      },
    });
  }

  it('does not keep an honest peer from being known', async (t) => {
    const honest = await startRoutingNode(t, '127.0.0.47');
    await honest.dial(multiaddr(addressOf(parts.node)));
    const name = honest.peerId.toString();
    await until(() => parts.membership.isConnected(name));
  });
});

async function startedParts(): Promise<RouterParts> {
  const own = await generateKeyPair('Ed25519');
  const ownPeerId = peerIdFromPrivateKey(own).toString();
  const components = {
    privateKey: own,
    bootstrapper: new StaticBootstrapper([]),
    logger: silent,
    records: new ProviderRecords({ ownPeerId }),
    negativeCache: new NegativeCache(),
    lookupKeys: new LookupKeys(),
  };
  const listen = ['/ip4/127.0.0.45/tcp/0'];
  const parts = await createRouterParts(components, { listen, registryPort: 5000 });
  await startStages(parts);
  return parts;
}
