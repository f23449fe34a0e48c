import type { AddressBook } from './address-book.ts';
import { routingTableOf } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';

/** How long the peer store keeps the entry of a departed peer after it last changed. */
const KEPT_MS = 60 * 60_000;

/**
 * Removes departed peers: those that are not connected, not in the routing table, and have no records here. The peer
 * store keeps them for an hour after their last change. Every restart of an agent without a data directory is a
 * new peer, and nothing else removes the old one (see `libp2p-node.ts`). Peers with records must stay: answers
 * of the DHT contain their addresses.
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
