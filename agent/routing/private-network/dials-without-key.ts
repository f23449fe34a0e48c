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
 * key, some of its nodes have none yet. One that had none is dialled without it first, and with it when it has got the key
 * meanwhile. The transport stays as it is in a cluster that is not open.
 */
export function withDialsWithoutKey(transport: Transport, isOpen: boolean): Transport {
  if (!isOpen) return transport;
  const withoutKey = new ExpiringSet(MAX_WITHOUT_KEY);
  const dial = transport.dial.bind(transport);
  transport.dial = async (address: Multiaddr, options): Promise<Connection> => {
    const text = address.toString();
    const dialPlain = async (): Promise<Connection> => {
      // libp2p's TCP transport hands its options on to the upgrade.
      const plain = { ...options, skipProtection: true } as typeof options;
      const connection = await dial(address, plain);
      withoutKey.add(text, WITHOUT_KEY_MS);
      return connection;
    };
    const dialWithKey = (): Promise<Connection> => dial(address, options);
    const ways: [typeof dialPlain, typeof dialPlain] = [dialWithKey, dialPlain];
    if (withoutKey.has(text)) ways.reverse();
    const [first, second] = ways;
    try {
      return await first();
    } catch (error) {
      // It may have a key by now.
      withoutKey.delete(text);
      if (options.signal.aborted || hasCode(error, ...UNREACHED)) throw error;
    }
    return await second();
  };
  return transport;
}
