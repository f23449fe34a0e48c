import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Decision } from '../question.ts';

/** Digests that are asked for at the same time; further ones have no arbiter. */
const MAX_DIGESTS = 1000;

/** A request of a client that is being answered. To be disposed of when it has been. */
export interface RequestInHand extends Disposable {
  /** What the arbiter has answered last for the digest since the request began; undefined when it was not asked. */
  readonly decision: Decision | undefined;
}

interface Entry {
  readonly request: ContentRequest;
  count: number;
  decision: Decision | undefined;
}

/** The requests that are being answered, by digest: all that a look-up knows is its key. */
export class RequestsInHand {
  readonly #entries = new Map<string, Entry>();

  begin(request: ContentRequest): RequestInHand {
    const { digest } = request;
    const present = digest === undefined ? undefined : this.#entries.get(digest);
    const entry = present ?? { request, count: 0, decision: undefined };
    entry.count += 1;
    if (digest !== undefined && this.#entries.size < MAX_DIGESTS) this.#entries.set(digest, entry);
    let hasEnded = false;
    return {
      get decision() {
        return entry.decision;
      },
      [Symbol.dispose]: () => {
        if (hasEnded) return;
        hasEnded = true;
        entry.count -= 1;
        const isLast = entry.count === 0 && digest !== undefined;
        if (isLast && this.#entries.get(digest) === entry) this.#entries.delete(digest);
      },
    };
  }

  /** One of the requests for the content with this key. */
  of(key: string): ContentRequest | undefined {
    return this.#entries.get(key)?.request;
  }

  /** What the arbiter has answered last for the content with this key. */
  decisionOf(key: string): Decision | undefined {
    return this.#entries.get(key)?.decision;
  }

  answered(digest: Digest, decision: Decision): void {
    const entry = this.#entries.get(digest);
    if (entry !== undefined) entry.decision = decision;
  }
}
