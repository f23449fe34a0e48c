import { createHash } from 'node:crypto';

import { CID } from 'multiformats/cid';
import { create as createMultihash } from 'multiformats/hashes/digest';

import { prefixOf } from './kademlia.ts';

const RAW_CODEC = 0x55;
const SHA2_256_CODE = 0x12;
const SHA2_256_BYTES = 32;

/** A key of the directory in the forms that the network wants it in. */
export interface RoutingKey {
  /** As the callers of the router know it: `sha256:<hex>` or `docker.io/library/alpine:3.20`. */
  readonly name: string;
  /** What DHT messages carry. */
  readonly multihash: Uint8Array;
  /** Where it lies in the key space of Kademlia: the first 32 bits of the SHA2-256 of the multihash. */
  readonly target: number;
  /** What provider records are kept under, see {@link recordKeyOf}. */
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
  const multihash = Buffer.allocUnsafe(2 + SHA2_256_BYTES);
  multihash[0] = SHA2_256_CODE;
  multihash[1] = SHA2_256_BYTES;
  createHash('sha256').update(name, 'utf8').digest().copy(multihash, 2);
  return {
    name,
    multihash,
    target: targetOf(multihash),
    recordKey: multihash.toString('latin1', 2),
  };
}

/** Where the key of a message lies in the key space. */
export function targetOf(key: Uint8Array): number {
  return prefixOf(createHash('sha256').update(key).digest());
}

/**
 * The name of a key among the provider records: its digest, a character a byte, which is the smallest form
 * that a map takes. Undefined for anything but a SHA2-256 multihash: no key of ours or Spegel's is another.
 */
export function recordKeyOf(multihash: Uint8Array): string | undefined {
  if (
    multihash.length !== 2 + SHA2_256_BYTES ||
    multihash[0] !== SHA2_256_CODE ||
    multihash[1] !== SHA2_256_BYTES
  ) {
    return undefined;
  }
  return Buffer.from(multihash.buffer, multihash.byteOffset + 2, SHA2_256_BYTES).toString('latin1');
}
