/**
 * Many light peers in one process, of which some connect with one agent and provide records to it. They speak the protocol
 * of the DHT, and answer its requests like nodes that know all of them and have no records.
 */
import { randomBytes } from 'node:crypto';

import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import type { Libp2p, Stream } from '@libp2p/interface';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

import {
  decodeDhtMessage,
  encodeAddProvider,
  encodeAnswer,
  encodePeer,
  encodePing,
  encodeProvider,
  MESSAGE_TYPE,
} from '../../../agent/routing/dht/dht-messages.ts';
import { FrameReader } from '../../../agent/routing/dht/frame-reader.ts';
import { frame } from '../../../agent/routing/dht/frames.ts';
import { closest, K, type KeySpacePoint } from '../../../agent/routing/dht/kademlia.ts';
import { routingKey, targetOf } from '../../../agent/routing/dht/key.ts';
import { DHT_PROTOCOL } from '../../../agent/routing/node/libp2p-node.ts';
import { dhtPeer } from '../../../agent/routing/node/membership.ts';
import { serve } from './serve.ts';

const MAX_MESSAGE_BYTES = 1 << 20;

/** A peer as the others name it. */
interface Named extends KeySpacePoint {
  readonly wire: Uint8Array;
}

/** Those that are connected with the agent. */
const peers: Libp2p[] = [];
const named: Named[] = [];
let agent = multiaddr('/ip4/127.0.0.1/tcp/1');

serve({
  /** Starts this number of peers that do not connect: the agent hears of them from others. */
  others: async (count) => {
    for (let started = 0; started < Number(count); started++) await startPeer();
  },
  /** Connects this number of peers with the agent at the address. */
  connect: async (argument) => {
    const { address, count } = argument as { address: string; count: number };
    agent = multiaddr(address);
    while (peers.length < count) {
      const peer = await startPeer();
      await peer.dial(agent);
      peers.push(peer);
    }
  },
  /** Lets each peer provide this number of records of its own keys. */
  place: async (records) => {
    for (const peer of peers) await place(peer, Number(records));
  },
});

async function startPeer(): Promise<Libp2p> {
  const peer = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
  });
  await peer.handle(DHT_PROTOCOL, answerAll, { maxInboundStreams: 100 });
  const id = peer.peerId.toMultihash().bytes;
  const multiaddrs = peer.getMultiaddrs().map((address) => address.decapsulate('/p2p').bytes);
  named.push({ ...dhtPeer(peer.peerId), wire: encodePeer({ id, multiaddrs }) });
  return peer;
}

async function answerAll(stream: Stream): Promise<void> {
  using reader = new FrameReader(stream, MAX_MESSAGE_BYTES);
  try {
    for (;;) {
      const bytes = await reader.next();
      if (bytes === undefined) break;
      const { type, key } = decodeDhtMessage(bytes);
      if (type === MESSAGE_TYPE.addProvider) continue;
      const isPing = type === MESSAGE_TYPE.ping;
      stream.send(frame(isPing ? encodePing() : answerTo(type, key)));
    }
    await stream.close();
  } catch {
    // The agent has ended the stream.
  }
}

/** The closest of all peers. */
function answerTo(type: number, key: Uint8Array): Uint8Array {
  const closer = closest(targetOf(key), named, K).map(({ wire }) => wire);
  return encodeAnswer({ type, key, closer, providers: [] });
}

/**
 * Works like a node that advertises keys: all records on one stream, then a ping, whose answer shows that they are
 * stored.
 */
async function place(peer: Libp2p, records: number): Promise<void> {
  const stream = await peer.dialProtocol(agent, DHT_PROTOCOL);
  using reader = new FrameReader(stream, MAX_MESSAGE_BYTES);
  const provider = encodeProvider({
    id: peer.peerId.toMultihash().bytes,
    multiaddrs: peer.getMultiaddrs().map((address) => address.decapsulate('/p2p').bytes),
  });
  const messages = Array.from({ length: records }, () => {
    const { multihash } = routingKey(`sha256:${randomBytes(32).toString('hex')}`);
    return frame(encodeAddProvider(multihash, provider));
  });
  stream.send(Buffer.concat([...messages, frame(encodePing())]));
  await reader.next();
  await stream.close();
}
