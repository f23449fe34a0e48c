import type { KeyObject } from 'node:crypto';

import {
  answerBase,
  formatRequestInput,
  isSignatureOf,
  requestBase,
  SIGNATURE_HEADER,
  signatureFields,
  SIGNATURE_INPUT_HEADER,
  TIME_HEADER,
  withoutLabel,
  type FieldReader,
  type SignedRequest,
} from './message-signature.ts';
import type { SharedKey, SharedKeys } from './shared-keys.ts';

/** Components of {@link RequestSigner}. */
export interface RequestSignerComponents {
  readonly keys: Pick<SharedKeys, 'known' | 'agree' | 'remember'>;
  /** Whether answers without a signature are believed, as those of Spegel's nodes: in an open cluster. */
  readonly isOpen: boolean;
}

/** What the head of an answer proves. */
export type AnswerProof =
  /** It comes from the peer that was asked, and answers this request. */
  | 'proven'
  /** It has no signature, in an open cluster. */
  | 'open'
  /** Someone else may have sent it, or changed it. */
  | 'unproven'
  /** The peer has refused the request because of its time. With the next signature the time is right. */
  | 'other-clock';

/** A signed request. */
export interface RequestSignature {
  /** Fields to send. */
  readonly fields: Readonly<Record<string, string>>;
  /** Checks the head of the answer. */
  check(status: number, read: FieldReader): AnswerProof;
}

/**
 * Signs requests to peers, and checks whether an answer comes from the peer that was asked (RFC 9421, HTTP Message
 * Signatures). The keys are those of {@link SharedKeys}.
 */
export class RequestSigner {
  readonly #components: RequestSignerComponents;
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(components: RequestSignerComponents, now: () => number = Date.now) {
    this.#components = components;
    this.#now = now;
  }

  /** @returns undefined for a peer whose identity cannot be checked; it is to be asked in an open cluster only */
  sign(peerId: string, request: SignedRequest): RequestSignature | undefined {
    const shared = this.#sharedWith(peerId);
    const [key] = shared?.macKeys ?? [];
    if (shared === undefined || key === undefined) return undefined;
    shared.counter += 1;
    const input = formatRequestInput(request, {
      created: Math.floor(this.#now() / 1000) + shared.clockOffset,
      keyId: shared.ownPeerId,
      noncePrefix: shared.noncePrefix,
      counter: shared.counter,
    });
    const fields = signatureFields(input, requestBase(request, input), key);
    const check = (status: number, read: FieldReader): AnswerProof =>
      this.#check({ peerId, shared, key }, fields[SIGNATURE_HEADER], status, read);
    return { fields, check };
  }

  /** Whether a peer without a signature may be asked and believed. */
  get isOpen(): boolean {
    return this.#components.isOpen;
  }

  #sharedWith(peerId: string): SharedKey | undefined {
    const { keys } = this.#components;
    const known = keys.known(peerId);
    if (known !== undefined) return known;
    const shared = keys.agree(peerId);
    if (shared !== undefined) keys.remember(peerId, shared);
    return shared;
  }

  #check(
    { peerId, shared, key }: { peerId: string; shared: SharedKey; key: KeyObject },
    requestSignature: string,
    status: number,
    read: FieldReader,
  ): AnswerProof {
    const stated = read(SIGNATURE_INPUT_HEADER);
    if (stated === undefined) return this.#components.isOpen ? 'open' : 'unproven';
    const { input, base } = answerBase(status, read, requestSignature, peerId);
    // The signed fields must be exactly those that are there.
    if (withoutLabel(stated) !== input) return 'unproven';
    if (!isSignatureOf(read(SIGNATURE_HEADER), base, key)) return 'unproven';
    const time = Number(read(TIME_HEADER) ?? NaN);
    if (status !== 401 || !Number.isSafeInteger(time)) return 'proven';
    shared.clockOffset = time - Math.floor(this.#now() / 1000);
    return 'other-clock';
  }
}
