import type { PeerStore } from '@libp2p/interface';

/** Addresses kept of one peer. */
export const MAX_STORED_ADDRESSES = 16;

/**
 * Bounds the addresses that the peer store takes of one peer. Each answer to kad-dht's own questions adds those
 * of the peers that it names to the ones that are there, each addition reads them all, and ours never get old
 * (see `libp2p-node.ts`): a peer that named a few thousand would block the event loop for seconds.
 */
export function boundPeerStore(store: PeerStore): void {
  const merge = store.merge.bind(store);
  const patch = store.patch.bind(store);
  store.patch = (id, data, options) =>
    patch(
      id,
      data.multiaddrs === undefined
        ? data
        : { ...data, multiaddrs: data.multiaddrs.slice(0, MAX_STORED_ADDRESSES) },
      options,
    );
  store.merge = async (id, data, options) => {
    if (data.multiaddrs === undefined) return merge(id, data, options);
    const peer = await store.get(id, options).catch(() => undefined);
    const known = new Set(peer?.addresses.map(({ multiaddr }) => multiaddr.toString()));
    const added = data.multiaddrs
      .slice(0, MAX_STORED_ADDRESSES)
      .filter((address) => !known.has(address.toString()))
      .slice(0, Math.max(0, MAX_STORED_ADDRESSES - known.size));
    return merge(id, { ...data, multiaddrs: added }, options);
  };
}
