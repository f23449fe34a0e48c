import type { PeerId } from '@libp2p/interface';
import * as real from '@libp2p/peer-id';

export * from '@libp2p/peer-id';

const byText = new Map<string, PeerId>();
const byMultihash = new Map<string, PeerId>();

/** As the function of `@libp2p/peer-id`, with one object for each peer. */
export const peerIdFromString: typeof real.peerIdFromString = (text, decoder) =>
  byText.get(text) ?? interned(real.peerIdFromString(text, decoder));

/** As the function of `@libp2p/peer-id`, with one object for each peer. */
export const peerIdFromMultihash: typeof real.peerIdFromMultihash = (multihash) =>
  byMultihash.get(keyOf(multihash.bytes)) ?? interned(real.peerIdFromMultihash(multihash));

function interned<T extends PeerId>(peerId: T): T {
  byText.set(peerId.toString(), peerId);
  byMultihash.set(keyOf(peerId.toMultihash().bytes), peerId);
  return peerId;
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
