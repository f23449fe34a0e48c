import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { jittered } from '../../timing/backoff.ts';
import { isAborted, pause } from '../../timing/pause.ts';
import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingKey } from '../dht/key.ts';
import { closest, K } from '../dht/kademlia.ts';
import type { AddressPolicy } from './address-policy.ts';
import { dialable, tcpAddress } from './announced-addresses.ts';
import type { RoutingNode } from './libp2p-node.ts';
import type { Membership } from './membership.ts';

/** Interval between two probes, in milliseconds; jittered. */
const INTERVAL_MS = 30_000;
/** How long a peer may take to answer, and the dial afterwards, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** Maximum number of addresses that are dialled in one probe. */
const MAX_DIALLED = 4;

/** Components of {@link IdentityProbe}. */
export interface IdentityProbeComponents {
  readonly node: RoutingNode;
  readonly client: Pick<DhtClient, 'getProviders'>;
  readonly membership: Pick<Membership, 'verified'>;
  readonly policy: Pick<AddressPolicy, 'allows'>;
  /** A key of which this node has provided records. */
  readonly anyKey: () => RoutingKey | undefined;
  readonly logger: Logger;
}

/**
 * Asks a peer now and then where the records of this node lead. Two nodes with the same identity do not meet when the
 * bootstrap names only a third one to both. But that one has the addresses of only one of them. The other sees
 * addresses that it does not have, and dials them: `DuplicateIdentity` watches the handshake.
 */
export class IdentityProbe {
  readonly #components: IdentityProbeComponents;
  readonly #intervalMs: number;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;

  /** @param intervalMs default {@link INTERVAL_MS} */
  constructor(components: IdentityProbeComponents, intervalMs = INTERVAL_MS) {
    this.#components = components;
    this.#intervalMs = intervalMs;
  }

  start(): void {
    this.#running = this.#run(this.#stopped.signal);
  }

  /** Ends the probe that is under way; there is no other. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(jittered(this.#intervalMs), signal);
      if (isAborted(signal)) return;
      try {
        await this.#probe(signal);
      } catch (err) {
        this.#components.logger.debug({ err }, 'a probe for a duplicate of the identity failed');
      }
    }
  }

  async #probe(signal: AbortSignal): Promise<void> {
    const { node, client, membership, policy, anyKey } = this.#components;
    const key = anyKey();
    if (key === undefined) return;
    const peers = closest(key.target, membership.verified(), K);
    const peer = peers[Math.floor(Math.random() * peers.length)];
    if (peer === undefined) return;
    using deadline = new Deadline(TIMEOUT_MS, signal);
    const question = { closerThan: 0, isKnown: () => true };
    const answer = await client.getProviders(
      peer,
      key.multihash,
      question,
      TIMEOUT_MS,
      deadline.signal,
    );
    const ownPeerId = node.peerId.toString();
    const own = ipsOf(node);
    const named = answer.providers
      .filter(({ peerId }) => peerId === ownPeerId)
      .flatMap(({ multiaddrs }) => multiaddrs);
    const foreign = dialable(named, (socket) => policy.allows(socket))
      .filter((address) => !own.has(tcpAddress(address)?.ip ?? ''))
      .slice(0, MAX_DIALLED);
    for (const address of foreign) {
      // It fails: either nothing is there, or the handshake finds our own identity.
      await node.dial(address, { signal: deadline.signal }).catch(() => undefined);
    }
  }
}

function ipsOf(node: RoutingNode): Set<string> {
  return new Set(
    node.services.listening.addresses().map((address) => tcpAddress(address)?.ip ?? ''),
  );
}
