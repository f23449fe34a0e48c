import type { Socket } from 'node:net';

import type { Provider } from '../routing/router.ts';
import { freePort } from './agent-program.ts';
import { providerOf } from './mirror-node.ts';
import { responseHead, startRogue } from './rogue-peer.ts';

/** Many peers that all behave alike, each on a port of its own. */
export interface Crowd extends AsyncDisposable {
  readonly providers: readonly Provider[];
  /** Heads of the requests they got, all together. */
  readonly requests: readonly string[];
  /** Connections to them that are open now. */
  readonly open: number;
}

/** Ways in which a record can be out of date. */
export const STALE = {
  /** The peer is there, and does not hold the content any more. */
  notFound: (socket: Socket): void => {
    socket.write(responseHead(404, { 'content-length': 0 }));
  },
  /** The peer takes the request and does not answer. */
  hangs: (): void => undefined,
} as const;

/** Starts so many peers; `name` begins their peer IDs. */
export async function startCrowd(
  count: number,
  behave: (socket: Socket, request: string) => void,
  name = 'stale',
): Promise<Crowd> {
  await using resources = new AsyncDisposableStack();
  const peers = await Promise.all(Array.from({ length: count }, () => startRogue(behave)));
  for (const peer of peers) resources.use(peer);
  const owned = resources.move();
  return {
    providers: peers.map((peer, index) => providerOf(`${name} ${index}`, peer)),
    get requests() {
      return peers.flatMap(({ requests }) => requests);
    },
    get open() {
      return peers.reduce((sum, { open }) => sum + open, 0);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Providers at ports where nobody listens. */
export async function refusing(count: number): Promise<Provider[]> {
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
  return ports.map((port, index) =>
    providerOf(`refusing ${index}`, { origin: `http://127.0.0.1:${port}` }),
  );
}
