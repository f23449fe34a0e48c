import { setTimeout as delay } from 'node:timers/promises';

import type { Connection } from '@libp2p/interface';

import type { RoutingNode } from './libp2p-node.ts';

/** How long to wait after the first attempt that failed, in milliseconds; twice as long after each further one. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;

type IdentifyingNode = Pick<RoutingNode, 'addEventListener'> & {
  readonly services: {
    readonly identify: Pick<RoutingNode['services']['identify'], 'identify'>;
  };
};

/**
 * Identifies the peer of each connection (libp2p specification "identify"), again after a failure and until it succeeds
 * or the connection ends. libp2p tries once, for five seconds. On a busy machine, or when the first attempt came while
 * both peers ended the second of two connections, a peer then stayed connected for hours and was no member: members are
 * those that have said by identify that they speak the DHT's protocol.
 *
 * To be called before the node starts, so that no connection is missed. A connection has one attempt or one timer at a
 * time, and none once it is identified or has ended.
 */
export function identifyConnections(node: IdentifyingNode): void {
  node.addEventListener('connection:open', ({ detail: connection }) => {
    void identify(node, connection);
  });
}

/** Never rejects. */
async function identify(node: IdentifyingNode, connection: Connection): Promise<void> {
  const ended = new AbortController();
  const end = (): void => {
    ended.abort();
  };
  connection.addEventListener('close', end, { once: true });
  for (let ms = FIRST_PAUSE_MS; connection.status === 'open'; ms = Math.min(2 * ms, MAX_PAUSE_MS)) {
    try {
      await node.services.identify.identify(connection);
      break;
    } catch {
      await delay(ms, undefined, { ref: false, signal: ended.signal }).catch(() => undefined);
    }
  }
  connection.removeEventListener('close', end);
}
