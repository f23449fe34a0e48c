import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';

import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { LRUCache } from 'lru-cache';

import type { SwarmKey } from '../membership/swarm-key.ts';

/** Peers whose keys are remembered, of some 1 KB each. */
const MAX_PEERS = 8_192;
/** Bytes of an ed25519 seed; libp2p's raw private key has the public key after it. */
const SEED_BYTES = 32;
/** Bytes of a key for HMAC, and of the random part of nonces. */
const KEY_BYTES = 32;
const NONCE_BYTES = 9;
/** Names the purpose of the derived keys, so that a key for another one is another key. */
const PURPOSE = 'peerglass http signature 1';

/** The identity of this node. */
export interface NodeIdentity {
  readonly peerId: string;
  /** Of type ed25519. */
  readonly privateKey: PrivateKey;
}

/** Components of {@link SharedKeys}. */
export interface SharedKeysComponents {
  /** The present identity, which changes when another node turns out to have the same. */
  readonly identity: () => NodeIdentity;
  /** The present swarm keys, the first one to sign with; none in a cluster without a key. */
  readonly swarmKeys: () => readonly SwarmKey[];
}

/** What this node shares with one peer. */
export interface SharedKey {
  /** Own peer ID at the time of the agreement. */
  readonly ownPeerId: string;
  /** HMAC keys: one for each swarm key, in their order, or one for no swarm key. */
  readonly macKeys: readonly KeyObject[];
  /** Begins the nonces of this node to the peer. A counter follows it. */
  readonly noncePrefix: string;
  /** Requests that were signed with {@link noncePrefix} so far. */
  counter: number;
  /** By how many seconds the clock of the peer is ahead, as far as it said so. */
  clockOffset: number;
}

/**
 * Keys that this node has in common with each peer, from both identities and the swarm key: X25519 (RFC 7748) between
 * the ed25519 keys in Montgomery form, then HKDF (RFC 5869). Only the two nodes can compute it, and only while they have
 * the swarm key. Nothing goes over the network for it.
 */
export class SharedKeys {
  readonly #components: SharedKeysComponents;
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #known = new LRUCache<string, SharedKey>({
    maxSize: MAX_PEERS,
    sizeCalculation: () => 1,
  });
  #ownPeerId = '';
  #ownKey: KeyObject | undefined;
  #swarmKeys: readonly SwarmKey[] = [];

  constructor(components: SharedKeysComponents) {
    this.#components = components;
  }

  /** What is shared with a peer that has been {@link remember}ed. */
  known(peerId: string): SharedKey | undefined {
    this.#follow();
    return this.#known.get(peerId);
  }

  /**
   * Computes what is shared with the peer, which takes a tenth of a millisecond, and does not remember it: the peer ID
   * may be invented.
   *
   * @param peerId in text form, from anyone
   * @returns undefined for a peer ID that is not of an ed25519 key
   */
  agree(peerId: string): SharedKey | undefined {
    this.#follow();
    const publicKey = publicKeyOf(peerId);
    if (publicKey === undefined || this.#ownKey === undefined) return undefined;
    const secret = diffieHellman({ privateKey: this.#ownKey, publicKey });
    const salts = this.#swarmKeys.map(({ bytes }) => bytes);
    const macKeys = (salts.length === 0 ? [new Uint8Array()] : salts).map((salt) =>
      createSecretKey(new Uint8Array(hkdfSync('sha256', secret, salt, PURPOSE, KEY_BYTES))),
    );
    const noncePrefix = randomBytes(NONCE_BYTES).toString('base64url');
    return { ownPeerId: this.#ownPeerId, macKeys, noncePrefix, counter: 0, clockOffset: 0 };
  }

  /** Keeps what was computed for a peer that this node asks, or that has proved who it is. */
  remember(peerId: string, shared: SharedKey): void {
    if (shared.ownPeerId === this.#ownPeerId) this.#known.set(peerId, shared);
  }

  /** Forgets everything when the identity or the swarm keys are others than before. */
  #follow(): void {
    const { identity, swarmKeys } = this.#components;
    const { peerId, privateKey } = identity();
    const keys = swarmKeys();
    if (peerId === this.#ownPeerId && keys === this.#swarmKeys) return;
    this.#known.clear();
    this.#swarmKeys = keys;
    this.#ownPeerId = peerId;
    this.#ownKey = x25519Key(privateKey.raw.subarray(0, SEED_BYTES));
  }
}

/** The X25519 key of an ed25519 seed. */
function x25519Key(seed: Uint8Array): KeyObject {
  const secret = ed25519.utils.toMontgomerySecret(seed);
  const d = base64url(secret);
  const x = base64url(x25519.getPublicKey(secret));
  return createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', d, x }, format: 'jwk' });
}

/** The X25519 key of a peer. A point of small order, with which anyone could compute the secret, is none. */
function publicKeyOf(peerId: string): KeyObject | undefined {
  try {
    const { publicKey } = peerIdFromString(peerId);
    if (publicKey?.type !== 'Ed25519') return undefined;
    if (ed25519.Point.fromBytes(publicKey.raw).isSmallOrder()) return undefined;
    const x = base64url(ed25519.utils.toMontgomery(publicKey.raw));
    return createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
  } catch {
    return undefined; // Not a peer ID, or not a point of the curve.
  }
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
