import {
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto';

import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';

import {
  bitString,
  explicit,
  generalizedTime,
  integer,
  objectIdentifier,
  sequence,
  setOf,
  utf8String,
} from './der.ts';
import type { TlsSource } from './tls-keeper.ts';
import type { TlsMaterial } from './tls-material.ts';

/** Object identifiers: of ed25519 signatures (RFC 8410), and of the common name in a subject. */
const OID = { ed25519: '1.3.101.112', commonName: '2.5.4.3' } as const;
/** It is valid at any time: clocks of nodes are wrong, and who it is for is not decided by dates. */
const NOT_BEFORE = '20000101000000Z';
/** No well-defined end (RFC 5280, section 4.1.2.5). */
const NOT_AFTER = '99991231235959Z';
/** Bytes of an ed25519 key, private and public. */
const KEY_BYTES = 32;
const SERIAL_BYTES = 16;

/**
 * The certificate of a node that has none from an authority. Its key is the libp2p identity, so that who knows the peer ID
 * can check it: the handshake proves the possession of the key. As in libp2p's TLS there is no authority; here the key
 * of the certificate is the identity itself, because nothing else reads this certificate.
 */
export class IdentityCertificate implements TlsSource {
  readonly #listeners: ((material: TlsMaterial) => void)[] = [];
  #current: TlsMaterial;

  /** @param privateKey of type ed25519 */
  constructor(privateKey: PrivateKey) {
    this.#current = makeMaterial(privateKey);
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.push(listener);
  }

  /** Call when this node has another identity. */
  renew(privateKey: PrivateKey): void {
    this.#current = makeMaterial(privateKey);
    for (const listener of this.#listeners) listener(this.#current);
  }
}

/** Whether the certificate is that of the peer: whether its key is the peer's identity. */
export function isCertificateOf(peerId: string, { publicKey }: X509Certificate): boolean {
  if (publicKey.asymmetricKeyType !== 'ed25519') return false;
  try {
    const identity = peerIdFromString(peerId).publicKey;
    if (identity?.type !== 'Ed25519') return false;
    return publicKey.export({ format: 'jwk' }).x === base64url(identity.raw);
  } catch {
    return false; // Not a peer ID.
  }
}

function makeMaterial(privateKey: PrivateKey): TlsMaterial {
  const [d, x] = [
    base64url(privateKey.raw.subarray(0, KEY_BYTES)),
    base64url(privateKey.publicKey.raw),
  ];
  const key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d, x }, format: 'jwk' });
  const certificate = makeCertificate(key, peerIdFromPrivateKey(privateKey).toString());
  return {
    identity: {
      cert: Buffer.from(toPem(certificate)),
      key: Buffer.from(key.export({ format: 'pem', type: 'pkcs8' })),
      notAfter: new Date('9999-12-31T23:59:59Z'),
      names: [],
      warnings: [],
    },
  };
}

/** A certificate that its own key has signed (RFC 5280, section 4.1), in DER. */
function makeCertificate(key: KeyObject, commonName: string): Buffer {
  const algorithm = sequence(objectIdentifier(OID.ed25519));
  const name = sequence(setOf(sequence(objectIdentifier(OID.commonName), utf8String(commonName))));
  const toBeSigned = sequence(
    explicit(0, integer(Buffer.of(2))), // Version 3.
    integer(randomBytes(SERIAL_BYTES)),
    algorithm,
    name,
    sequence(generalizedTime(NOT_BEFORE), generalizedTime(NOT_AFTER)),
    name,
    createPublicKey(key).export({ format: 'der', type: 'spki' }),
  );
  return sequence(toBeSigned, algorithm, bitString(sign(null, toBeSigned, key)));
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
