import type { Logger } from 'pino';

import { ExpiringSet } from '../../timing/expiring-set.ts';
import type { PeerError } from '../client/peer-error.ts';

/** How long a peer is not named again for the same cause, in milliseconds. */
const QUIET_MS = 60 * 60_000;
/** Maximum number of pairs of peer and cause that are remembered. */
const MAX_REMEMBERED = 1_000;
/** Least time between two lines, in milliseconds, whatever number of peers there are. */
const PAUSE_MS = 1_000;

const MEANING =
  'what answers at the address of a peer does not prove to be that peer, so nothing of it is believed; after a node got another identity this ends by itself; otherwise compare the lines "swarm key loaded" and the versions of both nodes, and find out what has the address';

/**
 * Warns of peers that are not where they are said to be, or do not prove who they are: once for each peer and cause in an
 * hour. Members name peers, so their number is up to others, and both bounds are needed.
 */
export class IdentityWarnings {
  readonly #logger: Logger;
  readonly #quiet = new ExpiringSet(MAX_REMEMBERED);
  #loggedAt = -Infinity;

  constructor({ logger }: { readonly logger: Logger }) {
    this.#logger = logger;
  }

  /** @param cause its message says what was wrong, and has nothing that came from the peer */
  warn(peer: string, cause: PeerError): void {
    const key = `${peer} ${cause.message}`;
    const now = performance.now();
    if (this.#quiet.has(key) || now - this.#loggedAt < PAUSE_MS) return;
    this.#quiet.add(key, QUIET_MS);
    this.#loggedAt = now;
    this.#logger.warn({ peer, reason: cause.reason, cause: cause.message }, MEANING);
  }
}
