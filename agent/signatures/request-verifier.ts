import type { KeyObject } from 'node:crypto';

import { hostOfIp } from '../membership/host-of-ip.ts';
import {
  answerBase,
  isSignatureOf,
  parseRequestInput,
  requestBase,
  SIGNATURE_HEADER,
  signatureFields,
  SIGNATURE_INPUT_HEADER,
  withoutLabel,
  type FieldReader,
  type SignedRequest,
} from './message-signature.ts';
import { NonceWindows } from './nonce-windows.ts';
import type { SharedKey, SharedKeys } from './shared-keys.ts';

/** By how much the time of a signature may differ from ours, in seconds. */
const MAX_AGE_S = 30;

/**
 * Keys that are computed in one second for peers that have not proved who they are: each costs a tenth of a millisecond,
 * and anyone can invent peer IDs.
 */
const MAX_AGREEMENTS = 1_000;
/** Those for requests from one host, so that it cannot use up what nodes that have just joined need. */
const MAX_AGREEMENTS_OF_HOST = 64;

/** Makes the fields that sign the head of an answer. */
export type SignAnswer = (status: number, read: FieldReader) => Readonly<Record<string, string>>;

/** Who sent a request, as far as it proves that. */
export type RequestProof =
  | { readonly kind: 'unsigned' }
  /** A peer with the swarm key. Its answer has to be signed. */
  | { readonly kind: 'proven'; readonly peerId: string; readonly signAnswer: SignAnswer }
  /** As `proven`, but of another time, or sent a second time. */
  | { readonly kind: 'stale'; readonly time: number; readonly signAnswer: SignAnswer }
  /** The signature is not valid: of a node with another swarm key, or of none. */
  | { readonly kind: 'wrong' }
  /** Not verified: too many requests of unknown peers have come in this second, from this host or in all. */
  | { readonly kind: 'unverified' };

/**
 * Verifies the signatures of requests: see `RequestSigner`, which makes them. A signature counts once, and within half a
 * minute. A peer whose clock is wrong gets the time in a signed answer, and asks again.
 */
export class RequestVerifier {
  readonly #keys: Pick<SharedKeys, 'known' | 'agree' | 'remember'>;
  readonly #now: () => number;
  readonly #nonces = new NonceWindows();
  /** No request from before is accepted: whether it was used then is not known. In seconds since 1970. */
  readonly #startedAt: number;
  #agreements = { second: 0, count: 0, ofHost: new Map<string, number>() };

  /** @param now milliseconds since 1970 */
  constructor(
    keys: Pick<SharedKeys, 'known' | 'agree' | 'remember'>,
    now: () => number = Date.now,
  ) {
    this.#keys = keys;
    this.#now = now;
    this.#startedAt = Math.floor(now() / 1000);
  }

  /**
   * @param read the fields of the request
   * @param address where it comes from, without the port
   */
  verify(request: SignedRequest, read: FieldReader, address = ''): RequestProof {
    const stated = read(SIGNATURE_INPUT_HEADER);
    if (stated === undefined) return { kind: 'unsigned' };
    const parameters = parseRequestInput(stated, request);
    if (parameters === undefined) return { kind: 'wrong' };
    const { keyId, created, noncePrefix, counter } = parameters;
    const known = this.#keys.known(keyId);
    if (known === undefined && !this.#mayAgree(address)) return { kind: 'unverified' };
    const shared = known ?? this.#keys.agree(keyId);
    const signature = read(SIGNATURE_HEADER);
    const base = requestBase(request, withoutLabel(stated));
    const key = shared?.macKeys.find((it) => isSignatureOf(signature, base, it));
    if (shared === undefined || key === undefined || signature === undefined) {
      return { kind: 'wrong' };
    }
    this.#keys.remember(keyId, shared);
    const signAnswer = answerSigner(shared, key, signature);
    const time = Math.floor(this.#now() / 1000);
    const isInTime =
      Math.abs(time - created) <= MAX_AGE_S && created >= Math.min(this.#startedAt, time);
    // Whether it was used is noted last: only of signatures that are valid now.
    return isInTime && this.#nonces.use(keyId, noncePrefix, counter)
      ? { kind: 'proven', peerId: keyId, signAnswer }
      : { kind: 'stale', time, signAnswer };
  }

  /** Whether one more key may be computed now for a peer that has proved nothing yet. */
  #mayAgree(address: string): boolean {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#agreements.second) {
      this.#agreements = { second, count: 0, ofHost: new Map() };
    }
    const { count, ofHost } = this.#agreements;
    const host = hostOfIp(address);
    const before = ofHost.get(host) ?? 0;
    if (count >= MAX_AGREEMENTS || before >= MAX_AGREEMENTS_OF_HOST) return false;
    this.#agreements.count = count + 1;
    ofHost.set(host, before + 1);
    return true;
  }
}

function answerSigner(
  { ownPeerId }: SharedKey,
  key: KeyObject,
  requestSignature: string,
): SignAnswer {
  return (status, read) => {
    const { input, base } = answerBase(status, read, requestSignature, ownPeerId);
    return signatureFields(input, base, key);
  };
}
