import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

import type { SwarmKey } from './swarm-key.ts';

/** Separates the secret from all else that the key is used for, and names the version of the derivation. */
const PURPOSE = 'peerglass look-up keys 1';
const SECRET_BYTES = 32;

/**
 * Derives the secret under which names become keys of the DHT (HKDF with SHA-256, RFC 5869). The swarm key has 256
 * random bits, or comes out of scrypt, so nothing slower is needed here. Nodes with the same swarm key derive the same. With a
 * key object an HMAC takes 4 µs, and with bytes 20 µs, as OpenSSL prepares the key each time.
 */
export function lookupSecret({ bytes }: SwarmKey): KeyObject {
  return createSecretKey(new Uint8Array(hkdfSync('sha256', bytes, '', PURPOSE, SECRET_BYTES)));
}
