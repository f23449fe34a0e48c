import type { RoutingNode } from './libp2p-node.ts';
import { routingTableOf } from './libp2p-node.ts';
import type { ProviderRecords } from './provider-records.ts';

/** What is known of a peer that is of no use now is kept for this long after it last changed. */
const KEPT_MS = 60 * 60_000;

/**
 * Forgets peers that are not connected, are in no routing table, have no records here and were not heard of
 * for an hour. Every restart of an agent without a data directory is a new peer, and nothing else forgets
 * the old one (see `libp2p-node.ts`). Peers with records must stay: their addresses are in the answers.
 */
export async function prunePeerStore(node: RoutingNode, records: ProviderRecords): Promise<void> {
  const inUse = new Set(node.getPeers().map((peerId) => peerId.toString()));
  for (const { peerId } of routingTableOf(node).kb.toIterable()) inUse.add(peerId.toString());
  for (const peer of await node.peerStore.all()) {
    const text = peer.id.toString();
    const changed = 'updated' in peer && typeof peer.updated === 'number' ? peer.updated : 0;
    if (inUse.has(text) || records.hasPeer(text) || Date.now() - changed < KEPT_MS) continue;
    await node.peerStore.delete(peer.id);
  }
}
