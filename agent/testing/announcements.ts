import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { sealAnnouncement } from '../routing/announce/announcement.ts';
import type { Announcement, SignedAnnouncement } from '../routing/announce/announcement.ts';
import { labelOf, MAX_PARTS } from '../routing/announce/region-layout.ts';
import { routingKey } from '../routing/dht/key.ts';
import { dhtPeer, type DhtPeer } from '../routing/node/membership.ts';

/** For tests: the label of the region that is the whole key space. */
const LABEL_OF_ALL = labelOf({ bits: 0, prefix: 0 }) * MAX_PARTS;

/** For tests: the record keys of these names. */
export function recordKeys(names: readonly string[]): string[] {
  return names.map((name) => routingKey(name).recordKey);
}

/**
 * For tests: a signed announcement that provides the keys of these names.
 *
 * @param privateKey its provider; default one of its own
 */
export async function signedAnnouncement(
  names: readonly string[],
  fields: Partial<Announcement> = {},
  privateKey?: PrivateKey,
): Promise<SignedAnnouncement> {
  const announcement = {
    multiaddrs: [multiaddr('/ip4/10.0.0.7/tcp/5001').bytes],
    sequence: 1,
    label: LABEL_OF_ALL,
    provided: recordKeys(names),
    withdrawn: [],
    ...fields,
  };
  return sealAnnouncement(announcement, privateKey ?? (await generateKeyPair('Ed25519')));
}

/** For tests: peers that do not exist. */
export async function randomPeers(count: number): Promise<DhtPeer[]> {
  const keys = Array.from({ length: count }, () => generateKeyPair('Ed25519'));
  return (await Promise.all(keys)).map((key) => dhtPeer(peerIdFromPrivateKey(key)));
}
