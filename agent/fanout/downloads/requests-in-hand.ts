import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Decision } from '../question.ts';

/** Digests that are asked for at the same time; further ones have no arbiter. */
const MAX_DIGESTS = 1000;

/** A request of a client that is being answered. To be disposed of when it has been. */
export interface RequestInHand extends Disposable {
  /**
   * What the arbiter has answered last for the digest since this request began, whichever request for it has asked; undefined when
   * none has. What an earlier request was answered before does not count: a request that comes later asks for itself.
   */
  readonly decision: Decision | undefined;
  /** From now on this node offers to fetch the content, if the request has begun without that. */
  offer(): void;
}

interface Hand {
  decision: Decision | undefined;
  offers: boolean;
}

/** Requests for one digest. */
interface Entry {
  readonly request: ContentRequest;
  readonly hands: Set<Hand>;
  /** The last answer for any of them. */
  decision: Decision | undefined;
}

/** The requests that are being answered, by digest: all that a look-up knows is its key. */
export class RequestsInHand {
  readonly #entries = new Map<string, Entry>();

  /** @param offers whether this node offers to fetch the content; without that it only asks whom it can follow. Default: it does */
  begin(request: ContentRequest, offers = true): RequestInHand {
    const { digest } = request;
    const present = digest === undefined ? undefined : this.#entries.get(digest);
    const entry = present ?? { request, hands: new Set(), decision: undefined };
    const hand: Hand = { decision: undefined, offers };
    entry.hands.add(hand);
    if (digest !== undefined && this.#entries.size < MAX_DIGESTS) this.#entries.set(digest, entry);
    return {
      get decision() {
        return hand.decision;
      },
      offer: () => {
        hand.offers = true;
      },
      [Symbol.dispose]: () => {
        entry.hands.delete(hand);
        const isLast = entry.hands.size === 0 && digest !== undefined;
        if (isLast && this.#entries.get(digest) === entry) this.#entries.delete(digest);
      },
    };
  }

  /** One of the requests for the content with this key. */
  of(key: string): ContentRequest | undefined {
    return this.#entries.get(key)?.request;
  }

  /** Whether one of the requests for the content offers to fetch it. One that has no request here does. */
  offers(key: string): boolean {
    const entry = this.#entries.get(key);
    return entry === undefined || [...entry.hands].some(({ offers }) => offers);
  }

  /** What the arbiter has answered last for the content with this key. */
  decisionOf(key: string): Decision | undefined {
    return this.#entries.get(key)?.decision;
  }

  answered(digest: Digest, decision: Decision): void {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return;
    entry.decision = decision;
    for (const hand of entry.hands) hand.decision = decision;
  }
}
