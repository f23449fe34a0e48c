import type { Peer, PeerData, PeerId, PeerStore } from '@libp2p/interface';

/** Maximum number of addresses of one peer. */
export const MAX_STORED_ADDRESSES = 16;
/** Maximum number of peers: twice the largest cluster that we mean to serve. */
const MAX_STORED_PEERS = 10_000;
/** Maximum number of peers in use that are skipped to find one that can be removed. */
const MAX_SKIPPED = 64;

/** Options of {@link boundPeerStore}. */
export interface PeerStoreBounds {
  /** Whether the entry of the peer must stay. */
  readonly isInUse: (peerId: PeerId) => boolean;
  /** Default {@link MAX_STORED_PEERS}. */
  readonly maxPeers?: number;
}

/**
 * Bounds the peer store. Each answer to a request of kad-dht adds the peers that it names, and adds their addresses
 * to those in the store. Each addition reads all addresses of the peer, and here addresses do not expire (see
 * `libp2p-node.ts`). Without bounds, a peer that invents a few thousand addresses would block the event loop for
 * seconds, and one that invents peers would fill the memory. A full store removes the oldest peer that is not in use.
 *
 * `LRUCache` cannot replace the map of peers: whether one may be removed is decided at the time of the eviction.
 */
export function boundPeerStore(store: PeerStore, bounds: PeerStoreBounds): void {
  const merge = store.merge.bind(store);
  const patch = store.patch.bind(store);
  const save = store.save.bind(store);
  const remove = store.delete.bind(store);
  const maxPeers = bounds.maxPeers ?? MAX_STORED_PEERS;
  const peers = new Map<string, PeerId>();

  const makeRoom = async (): Promise<void> => {
    let skipped = 0;
    for (const [text, id] of peers) {
      if (peers.size <= maxPeers || skipped > MAX_SKIPPED) return;
      peers.delete(text);
      if (!bounds.isInUse(id)) {
        await remove(id);
        continue;
      }
      peers.set(text, id);
      skipped++;
    }
  };
  const storing = async (id: PeerId, stored: Promise<Peer>): Promise<Peer> => {
    const peer = await stored;
    if (!peers.has(id.toString())) {
      peers.set(id.toString(), id);
      await makeRoom();
    }
    return peer;
  };

  store.patch = (id, data, options) => storing(id, patch(id, shortened(data), options));
  store.save = (id, data, options) => storing(id, save(id, shortened(data), options));
  store.merge = async (id, data, options) => {
    if (data.multiaddrs === undefined) return storing(id, merge(id, data, options));
    const peer = await store.get(id, options).catch(() => undefined);
    const known = new Set(peer?.addresses.map(({ multiaddr }) => multiaddr.toString()));
    const added = data.multiaddrs
      .slice(0, MAX_STORED_ADDRESSES)
      .filter((address) => !known.has(address.toString()))
      .slice(0, Math.max(0, MAX_STORED_ADDRESSES - known.size));
    return storing(id, merge(id, { ...data, multiaddrs: added }, options));
  };
  store.delete = async (id, options) => {
    peers.delete(id.toString());
    await remove(id, options);
  };
}

function shortened(data: PeerData): PeerData {
  const { multiaddrs } = data;
  if (multiaddrs === undefined) return data;
  return { ...data, multiaddrs: multiaddrs.slice(0, MAX_STORED_ADDRESSES) };
}
