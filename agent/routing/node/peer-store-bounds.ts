import type { Peer, PeerData, PeerId, PeerStore } from '@libp2p/interface';

/** Addresses kept of one peer. */
export const MAX_STORED_ADDRESSES = 16;
/** Peers kept: twice the largest cluster that we mean to serve. */
const MAX_STORED_PEERS = 10_000;
/** Peers in use that are passed over at most to find one that can be forgotten. */
const MAX_PASSED_OVER = 64;

/** Options of {@link boundPeerStore}. */
export interface PeerStoreBounds {
  /** Whether what is known of the peer must stay. */
  readonly isInUse: (peerId: PeerId) => boolean;
  /** Default {@link MAX_STORED_PEERS}. */
  readonly maxPeers?: number;
}

/**
 * Bounds what the peer store takes. Each answer to kad-dht's own questions adds the peers that it names, and their
 * addresses to the ones that are there; each addition reads them all, and ours never get old (see
 * `libp2p-node.ts`). So a peer that made up a few thousand addresses would block the event loop for seconds, and
 * one that made up peers would fill the memory. Of peers that are not in use the one that came first is forgotten.
 */
export function boundPeerStore(store: PeerStore, bounds: PeerStoreBounds): void {
  const merge = store.merge.bind(store);
  const patch = store.patch.bind(store);
  const save = store.save.bind(store);
  const remove = store.delete.bind(store);
  const maxPeers = bounds.maxPeers ?? MAX_STORED_PEERS;
  const peers = new Map<string, PeerId>();

  const makeRoom = async (): Promise<void> => {
    let passedOver = 0;
    for (const [text, id] of peers) {
      if (peers.size <= maxPeers || passedOver > MAX_PASSED_OVER) return;
      peers.delete(text);
      if (!bounds.isInUse(id)) {
        await remove(id);
        continue;
      }
      peers.set(text, id);
      passedOver++;
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
