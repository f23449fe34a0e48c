import { pino } from 'pino';

import { StaticBootstrapper } from '../routing/bootstrap/static-bootstrapper.ts';
import { until } from './conformance/router.ts';
import { loadIdentity } from '../routing/node/identity.ts';
import { Libp2pRouter } from '../routing/libp2p-router.ts';
import type { Libp2pRouterInit } from '../routing/libp2p-router.ts';

/** A logger that says nothing. */
export const silent = pino({ level: 'silent' });

/** For tests: real routers on loopback addresses, all of which are stopped at the end. */
export class TestNetwork {
  readonly routers: Libp2pRouter[] = [];

  /** Starts a router that is to connect with the given ones. */
  async start(
    peers: readonly Libp2pRouter[] = [],
    init: Partial<Libp2pRouterInit> = {},
  ): Promise<Libp2pRouter> {
    const number = this.routers.length + 1;
    const router = new Libp2pRouter(
      {
        privateKey: await loadIdentity(),
        bootstrapper: new StaticBootstrapper(peers.map((peer) => String(peer.listening[0]))),
        logger: silent,
      },
      {
        listen: [`/ip4/127.0.0.${String(number)}/tcp/0`],
        registryPort: 5000 + number,
        ...init,
      },
    );
    await router.start();
    this.routers.push(router);
    return router;
  }

  /** Starts so many routers that all know each other. */
  async startMany(count: number, init: Partial<Libp2pRouterInit> = {}): Promise<Libp2pRouter[]> {
    const routers: Libp2pRouter[] = [];
    while (routers.length < count) routers.push(await this.start(routers, init));
    await until(() => routers.every((router) => router.status().peers === count - 1));
    return routers;
  }

  async stop(): Promise<void> {
    await Promise.all(this.routers.map((router) => router.stop()));
  }
}
