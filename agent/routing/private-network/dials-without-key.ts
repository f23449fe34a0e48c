import type { Connection, Transport } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

import { hasCode } from '../../errors/system-error.ts';
import { ExpiringSet } from '../../timing/expiring-set.ts';

/** With these the other side was not reached at all. */
const UNREACHED = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EADDRNOTAVAIL'];
/** How long a node counts as one without a key, in milliseconds: it may get one. */
const WITHOUT_KEY_MS = 10 * 60_000;
/** Maximum number of addresses of nodes without a key. */
const MAX_WITHOUT_KEY = 10_000;

/**
 * Lets the transport dial a node once more without the swarm key when it did not take the key: while a cluster gets a
 * key, some of its nodes have none yet. The transport stays as it is in a cluster that is not open.
 */
export function withDialsWithoutKey(transport: Transport, isOpen: boolean): Transport {
  if (!isOpen) return transport;
  const withoutKey = new ExpiringSet(MAX_WITHOUT_KEY);
  const dial = transport.dial.bind(transport);
  transport.dial = async (address: Multiaddr, options): Promise<Connection> => {
    const text = address.toString();
    if (!withoutKey.has(text)) {
      try {
        return await dial(address, options);
      } catch (error) {
        if (options.signal.aborted || hasCode(error, ...UNREACHED)) throw error;
      }
    }
    // libp2p's TCP transport hands its options on to the upgrade.
    const connection = await dial(address, { ...options, skipProtection: true } as typeof options);
    withoutKey.add(text, WITHOUT_KEY_MS);
    return connection;
  };
  return transport;
}
