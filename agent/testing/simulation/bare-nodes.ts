import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, Stream } from '@libp2p/interface';

import { SimulatedLinks } from './simulated-links.ts';
import { SimulatedNode } from './simulated-node.ts';

/** For tests: simulated nodes without routers, on a clock of their own. */
export class BareNodes implements Disposable {
  readonly links = new SimulatedLinks();
  readonly nodes: SimulatedNode[] = [];
  readonly #installed = this.links.clock.install();

  /** @param serveDht serves the streams of the DHT's protocol */
  static async start(
    count: number,
    serveDht: (stream: Stream, connection: Connection) => void = () => undefined,
  ): Promise<BareNodes> {
    const network = new BareNodes();
    while (network.nodes.length < count) {
      const node = new SimulatedNode(network.links, {
        privateKey: await generateKeyPair('Ed25519'),
        serveDht,
        listen: [`/ip4/10.0.0.${network.nodes.length + 1}/tcp/5001`],
        registry: { port: 5000, tls: false },
      });
      await node.start();
      network.nodes.push(node);
    }
    return network;
  }

  /** The node with this number, from 0. */
  at(index: number): SimulatedNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }

  /** Awaits something that takes virtual time, at most this many milliseconds. */
  async during<T>(milliseconds: number, work: Promise<T>): Promise<T> {
    const settled = work.then(
      (value) => () => value,
      (error: unknown) => () => {
        throw error;
      },
    );
    await this.links.clock.run(milliseconds);
    return (await settled)();
  }

  /** Restores the real clock. */
  [Symbol.dispose](): void {
    this.#installed[Symbol.dispose]();
  }
}
