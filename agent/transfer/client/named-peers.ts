import type { X509Certificate } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { isCertificateOf } from '../../tls/identity-certificate.ts';

/** Addresses that are remembered. */
const MAX_ORIGINS = 8_192;
/** Peers of one address: it had another node before, or several records name it. */
const MAX_PEERS = 4;

/**
 * Which peers have lately been asked at each address. A connection by TLS may be used when its certificate is of one of
 * them; which of them answers a request, the signature of the answer decides.
 */
export class NamedPeers {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #peers = new LRUCache<string, readonly string[]>({
    maxSize: MAX_ORIGINS,
    sizeCalculation: () => 1,
  });

  /** The peer is going to be asked there. */
  add(origin: string, peerId: string): void {
    const before = this.#peers.get(origin) ?? [];
    if (before[0] === peerId) return;
    const others = before.filter((it) => it !== peerId);
    this.#peers.set(origin, [peerId, ...others].slice(0, MAX_PEERS));
  }

  /** Whether the certificate, whose key the other side has proved to have, is of a peer that is asked there. */
  isOneOf(origin: string, certificate: X509Certificate | undefined): boolean {
    if (certificate === undefined) return false;
    const peers = this.#peers.get(origin) ?? [];
    return peers.some((peerId) => isCertificateOf(peerId, certificate));
  }
}
