import { createHash } from 'node:crypto';

import { base32 } from 'multiformats/bases/base32';
import { CID } from 'multiformats/cid';
import { create as createMultihash } from 'multiformats/hashes/digest';

const RAW_CODEC = 0x55;
const SHA2_256_CODE = 0x12;

/** A key of the directory in the forms that the network wants it in. */
export interface RoutingKey {
  /** As the callers of the router know it: `sha256:<hex>` or `docker.io/library/alpine:3.20`. */
  readonly name: string;
  /** What DHT messages carry. */
  readonly multihash: Uint8Array;
  /** Where it lies in the key space of Kademlia: the SHA2-256 of the multihash. */
  readonly target: Uint8Array;
  /** What provider records are kept under: the multihash in base32 without a prefix, as kad-dht does. */
  readonly recordKey: string;
}

/**
 * The CID of a key, as Spegel computes it: CIDv1, codec raw, SHA2-256 of the UTF-8 key string (also when
 * that string is a digest itself).
 */
export function keyToCid(name: string): CID {
  const digest = createHash('sha256').update(name, 'utf8').digest();
  return CID.createV1(RAW_CODEC, createMultihash(SHA2_256_CODE, digest));
}

/** All forms of a key at once: hashing is the dearest part of a look-up that is answered locally. */
export function routingKey(name: string): RoutingKey {
  const multihash = keyToCid(name).multihash.bytes;
  return {
    name,
    multihash,
    target: createHash('sha256').update(multihash).digest(),
    recordKey: recordKeyOf(multihash),
  };
}

/** The name of a multihash among the provider records. */
export function recordKeyOf(multihash: Uint8Array): string {
  return base32.baseEncode(multihash);
}
