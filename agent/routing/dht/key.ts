import { createHash, createHmac, type KeyObject } from 'node:crypto';

import { CID } from 'multiformats/cid';
import { create as createMultihash } from 'multiformats/hashes/digest';

import { prefixOf } from './kademlia.ts';

const RAW_CODEC = 0x55;
const SHA2_256_CODE = 0x12;
const SHA2_256_BYTES = 32;

/** A key of the DHT in the forms that messages, distances and records need. */
export interface RoutingKey {
  /** The key as callers of the router write it: `sha256:<hex>` or `docker.io/library/alpine:3.20`. */
  readonly name: string;
  /** The key in DHT messages. */
  readonly multihash: Uint8Array;
  /** Its point in the key space: the first 32 bits of the SHA2-256 of the multihash. */
  readonly target: number;
  /** The key of its provider records, see {@link recordKeyOf}. */
  readonly recordKey: string;
}

/**
 * Returns the CID of a key as Spegel computes it: CIDv1, codec raw, SHA2-256 of the UTF-8 key string. A key that is
 * a digest is hashed as well.
 */
export function keyToCid(name: string): CID {
  const digest = createHash('sha256').update(name, 'utf8').digest();
  return CID.createV1(RAW_CODEC, createMultihash(SHA2_256_CODE, digest));
}

/**
 * Computes all forms of a plain key at once: hashing is most of the cost of a look-up that is answered locally. In a
 * router, `LookupKeys` decides whether the key of a name is this one.
 */
export function routingKey(name: string): RoutingKey {
  return formsOf(name, createHash('sha256').update(name, 'utf8').digest());
}

/**
 * The same for the key of a name under a secret: the HMAC-SHA256 of the name (RFC 2104). Who does not have the secret
 * can neither compute the key nor test a guess of the name. In messages it has the form of a plain key, a multihash of
 * SHA2-256: nodes keep no other.
 */
export function secretRoutingKey(name: string, secret: KeyObject): RoutingKey {
  return formsOf(name, createHmac('sha256', secret).update(name, 'utf8').digest());
}

function formsOf(name: string, digest: Buffer): RoutingKey {
  const multihash = Buffer.allocUnsafe(2 + SHA2_256_BYTES);
  multihash[0] = SHA2_256_CODE;
  multihash[1] = SHA2_256_BYTES;
  digest.copy(multihash, 2);
  return {
    name,
    multihash,
    target: targetOf(multihash),
    recordKey: multihash.toString('latin1', 2),
  };
}

/** Returns the point in the key space of the key of a message. */
export function targetOf(key: Uint8Array): number {
  return prefixOf(createHash('sha256').update(key).digest());
}

/**
 * Returns the key under which provider records are stored: the digest as a string with one character per byte,
 * the smallest form that a map takes.
 *
 * @returns undefined for other multihashes than SHA2-256; neither our keys nor Spegel's are any of those
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

/** Returns the multihash of a record key: the inverse of {@link recordKeyOf}. */
export function multihashOf(recordKey: string): Uint8Array {
  const multihash = Buffer.allocUnsafe(2 + SHA2_256_BYTES);
  multihash[0] = SHA2_256_CODE;
  multihash[1] = SHA2_256_BYTES;
  multihash.write(recordKey, 2, 'latin1');
  return multihash;
}
