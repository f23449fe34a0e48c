import type { AddressBook } from './address-book.ts';
import type { RoutingNode } from './libp2p-node.ts';
import { routingTableOf } from './libp2p-node.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';

/** What the peer store knows of a peer that is of no use now is kept so long after it last changed. */
const KEPT_MS = 60 * 60_000;

/**
 * Forgets what is known of peers that are not connected, are in no routing table and have no records here;
 * in the peer store, an hour after they were last heard of. Every restart of an agent without a data directory
 * is a new peer, and nothing else forgets the old one (see `libp2p-node.ts`). The addresses of peers with
 * records must stay: they are in the answers.
 */
export async function prunePeers(
  node: RoutingNode,
  records: ProviderRecords,
  addressBook: AddressBook,
): Promise<void> {
  const inUse = new Set(node.getPeers().map((peerId) => peerId.toString()));
  for (const { peerId } of routingTableOf(node).kb.toIterable()) inUse.add(peerId.toString());
  for (const peer of await node.peerStore.all()) {
    const text = peer.id.toString();
    const changed = 'updated' in peer && typeof peer.updated === 'number' ? peer.updated : 0;
    if (inUse.has(text) || records.hasPeer(text) || Date.now() - changed < KEPT_MS) continue;
    await node.peerStore.delete(peer.id);
  }
  addressBook.prune((peerId) => inUse.has(peerId) || records.hasPeer(peerId));
}
