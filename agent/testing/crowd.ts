import type { Socket } from 'node:net';

import type { Provider } from '../routing/router.ts';
import { freePort } from './agent-program.ts';
import { providerOf } from './mirror-node.ts';
import { responseHead, startRogue } from './rogue-peer.ts';

/** Many peers with the same behaviour, each on its own port. */
export interface Crowd extends AsyncDisposable {
  readonly providers: readonly Provider[];
  /** Heads of the requests that all of them received. */
  readonly requests: readonly string[];
  /** Open connections to them. */
  readonly open: number;
}

/** Behaviours of a peer whose provider record is stale. */
export const STALE = {
  /** The peer no longer holds the content. */
  notFound: (socket: Socket): void => {
    socket.write(responseHead(404, { 'content-length': 0 }));
  },
  /** The peer accepts the request and does not answer. */
  hangs: (): void => undefined,
} as const;

/** Starts `count` peers, whose peer IDs begin with `name`. */
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

/** Providers at ports that refuse connections. */
export async function refusing(count: number): Promise<Provider[]> {
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
  return ports.map((port, index) =>
    providerOf(`refusing ${index}`, { origin: `http://127.0.0.1:${port}` }),
  );
}
