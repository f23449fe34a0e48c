import type { PrivateKey } from '@libp2p/interface';
import type { Logger } from 'pino';

import type { RenewedIdentity } from './node/identity.ts';

/** How long a node counts as the later one of two with the same identity, in milliseconds. */
const YOUNG_MS = 120_000;
/** How long a duplicate is reported after it was seen, in milliseconds. */
const REPORTED_MS = 300_000;

const PROBLEM = 'another node has the identity of this one, a copy of private.key';

/** Components of {@link IdentityRenewal}. */
export interface IdentityRenewalComponents {
  /** The peer ID of this node at present. */
  readonly peerId: () => string;
  /** Makes and keeps a new key. Default: the node keeps its identity. */
  readonly renewIdentity?: (() => Promise<RenewedIdentity>) | undefined;
  /** Starts the router once more, with this key. */
  readonly replace: (privateKey: PrivateKey) => Promise<void>;
  readonly logger: Logger;
}

/**
 * What happens when another node has the identity of this one (see `DuplicateIdentity`). The node that started later,
 * which is one that has not run for long, takes a new identity. The other one warns, once, and so does one that cannot
 * make a new identity: it does not try again.
 */
export class IdentityRenewal {
  readonly #components: IdentityRenewalComponents;
  readonly #youngMs: number;
  #startedAt = -Infinity;
  #duplicate: { readonly address: string; readonly seenAt: number } | undefined;
  #hasWarned = false;
  #hasFailed = false;
  #isStopped = true;
  #renewing: Promise<void> | undefined;

  /** @param youngMs default {@link YOUNG_MS} */
  constructor(components: IdentityRenewalComponents, youngMs = YOUNG_MS) {
    this.#components = components;
    this.#youngMs = youngMs;
  }

  /** To be called when the router has started for the first time. */
  start(): void {
    this.#startedAt = performance.now();
    this.#isStopped = false;
  }

  /** Waits for a renewal that is under way; there is no other. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#renewing;
  }

  /** Address of the other node, if it was seen lately. */
  get duplicate(): string | undefined {
    const { address, seenAt = -Infinity } = this.#duplicate ?? {};
    return performance.now() - seenAt > REPORTED_MS ? undefined : address;
  }

  /** Another node with the identity of this one was seen at the address. */
  found(address: string): void {
    if (this.#renewing !== undefined || this.#isStopped) return;
    this.#duplicate = { address, seenAt: performance.now() };
    const { renewIdentity, logger, peerId } = this.#components;
    const isYoung = performance.now() - this.#startedAt < this.#youngMs;
    if (isYoung && renewIdentity !== undefined && !this.#hasFailed) {
      this.#renewing = this.#renew(renewIdentity, address).finally(() => {
        this.#renewing = undefined;
      });
    } else if (!this.#hasWarned) {
      this.#hasWarned = true;
      logger.warn(
        { peerId: peerId(), address },
        `${PROBLEM}, and the two do not find each other: restart the agent of the copy, which then takes a new identity, or remove private.key from its data directory`,
      );
    }
  }

  async #renew(renewIdentity: () => Promise<RenewedIdentity>, address: string): Promise<void> {
    const { logger, peerId, replace } = this.#components;
    const previous = peerId();
    try {
      const { privateKey, replacedIn } = await renewIdentity();
      await replace(privateKey);
      this.#duplicate = undefined;
      const kept = replacedIn === undefined ? '' : `; the previous key is in ${replacedIn}`;
      logger.warn(
        { previous, address, peerId: peerId(), ...(replacedIn !== undefined && { replacedIn }) },
        `${PROBLEM}: this node began later and has a new identity now${kept}`,
      );
    } catch (err) {
      if (this.#isStopped) return;
      this.#hasFailed = true;
      this.#hasWarned = true;
      logger.error({ err, peerId: previous, address }, `${PROBLEM}, and a new one cannot be made`);
    }
  }
}
