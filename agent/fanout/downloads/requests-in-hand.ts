import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Decision } from '../question.ts';

/** Digests that are asked for at the same time; further ones have no arbiter. */
const MAX_DIGESTS = 1000;

/**
 * What a request asks the arbiter for. `follow`: whom this node can follow, no more. `take`: also to be the one that takes the content
 * from a node that holds it, for the others to follow. `fetch`: also to be the one that fetches it from the registry.
 */
export type Aim = 'follow' | 'take' | 'fetch';

/** The widest last. */
const AIMS: readonly Aim[] = ['follow', 'take', 'fetch'];

/** A request of a client that is being answered. To be disposed of when it has been. */
export interface RequestInHand extends Disposable {
  /**
   * What the arbiter has answered last for the digest since this request began, whichever request for it has asked; undefined when
   * none has. What an earlier request was answered before does not count: a request that comes later asks for itself.
   */
  readonly decision: Decision | undefined;
  /** From now on it asks for this. */
  aimAt(aim: Aim): void;
}

interface Hand {
  decision: Decision | undefined;
  aim: Aim;
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

  begin(request: ContentRequest, aim: Aim = 'fetch'): RequestInHand {
    const { digest } = request;
    const present = digest === undefined ? undefined : this.#entries.get(digest);
    const entry = present ?? { request, hands: new Set(), decision: undefined };
    const hand: Hand = { decision: undefined, aim };
    entry.hands.add(hand);
    if (digest !== undefined && this.#entries.size < MAX_DIGESTS) this.#entries.set(digest, entry);
    return {
      get decision() {
        return hand.decision;
      },
      aimAt: (next) => {
        hand.aim = next;
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

  /** The widest aim of the requests for the content; `fetch` for content without a request here. */
  aimOf(key: string): Aim {
    const entry = this.#entries.get(key);
    if (entry === undefined) return 'fetch';
    const aims = new Set([...entry.hands].map(({ aim }) => aim));
    return AIMS.findLast((aim) => aims.has(aim)) ?? 'fetch';
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
