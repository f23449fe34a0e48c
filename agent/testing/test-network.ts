import { pino } from 'pino';

import { StaticBootstrapper } from '../routing/bootstrap/static-bootstrapper.ts';
import { until } from './conformance/router.ts';
import { loadIdentity } from '../routing/node/identity.ts';
import { Libp2pRouter, type Libp2pRouterComponents } from '../routing/libp2p-router.ts';
import type { Libp2pRouterInit } from '../routing/create-router-parts.ts';

/** A logger without output. */
export const silent = pino({ level: 'silent' });

/** Milliseconds for the answer of a peer: what a test is about is not how busy this machine is. */
const PEER_TIMEOUT_MS = 4000;

/** Real routers on loopback addresses, for tests. */
export class TestNetwork {
  readonly routers: Libp2pRouter[] = [];

  /** Starts a router that bootstraps from the given ones. */
  async start(
    peers: readonly Libp2pRouter[] = [],
    init: Partial<Libp2pRouterInit> = {},
    components: Partial<Libp2pRouterComponents> = {},
  ): Promise<Libp2pRouter> {
    const number = this.routers.length + 1;
    const router = new Libp2pRouter(
      {
        privateKey: await loadIdentity(),
        bootstrapper: new StaticBootstrapper(peers.map((peer) => String(peer.listening[0]))),
        logger: silent,
        ...components,
      },
      {
        listen: [`/ip4/127.0.0.${String(number)}/tcp/0`],
        registryPort: 5000 + number,
        peerTimeoutMs: PEER_TIMEOUT_MS,
        ...init,
      },
    );
    await router.start();
    this.routers.push(router);
    return router;
  }

  /** Starts `count` routers; resolves when each knows all others. */
  async startMany(
    count: number,
    init: Partial<Libp2pRouterInit> = {},
    components: Partial<Libp2pRouterComponents> = {},
  ): Promise<Libp2pRouter[]> {
    const routers: Libp2pRouter[] = [];
    while (routers.length < count) routers.push(await this.start(routers, init, components));
    await until(() => routers.every((router) => router.status().peers === count - 1));
    return routers;
  }

  async stop(): Promise<void> {
    await Promise.all(this.routers.map((router) => router.stop()));
  }
}
