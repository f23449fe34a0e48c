import type { TestContext } from 'node:test';

import type { PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { kadIdOf } from '../routing/dht/kademlia.ts';
import type { Libp2pRouter } from '../routing/libp2p-router.ts';
import { loadIdentity } from '../routing/node/identity.ts';
import { createNode, type CreateNode } from '../routing/node/libp2p-node.ts';
import type { QuestionHandler } from '../routing/questions/question-handler.ts';
import { until } from './conformance/router.ts';
import { TestNetwork } from './test-network.ts';

/**
 * For tests: a network of real routers that ask each other in one protocol. The first one is in the other half of the key
 * space than all others: for three nodes each order of those, and the first one before or behind them, is that of some key.
 */
export class QuestionNetwork {
  readonly #network = new TestNetwork();
  readonly #protocol: string;

  constructor(t: TestContext, protocol: string) {
    this.#protocol = protocol;
    t.after(() => this.#network.stop());
  }

  /** Starts a router that answers so. */
  async startRouter(questions: QuestionHandler): Promise<Libp2pRouter> {
    const privateKey = await this.#newKey();
    return await this.#network.start(this.#network.routers, {}, { questions, privateKey });
  }

  /** Starts a node that does as the test says with the streams of questions; one that knows no questions without that. */
  async startHostile(serve?: (stream: Stream) => void): Promise<Libp2pRouter> {
    const create: CreateNode = async (init) => {
      const made = await createNode(init);
      if (serve !== undefined) await made.node.handle(this.#protocol, serve);
      return made;
    };
    const privateKey = await this.#newKey();
    return await this.#network.start(this.#network.routers, {}, { createNode: create, privateKey });
  }

  /** Waits until all routers know of each other which protocols they speak. */
  async meet(...silent: readonly Libp2pRouter[]): Promise<void> {
    const { routers } = this.#network;
    const mute = silent.map(({ peerId }) => peerId);
    await until(async () => {
      for (const router of routers) {
        const members = await router.closest('key', 20);
        if (members.length !== routers.length) return false;
        const speak = members.filter(({ peerId }) => !mute.includes(peerId));
        const isMute = mute.includes(router.peerId);
        if (!isMute && !speak.every(({ protocols }) => protocols.includes(this.#protocol)))
          return false;
        if (!members.every(({ origins }) => origins.length > 0)) return false;
      }
      return true;
    });
  }

  async #newKey(): Promise<PrivateKey> {
    const half = this.#network.routers.length === 0 ? 0 : 1;
    for (;;) {
      const key = await loadIdentity();
      if ((kadIdOf(peerIdFromPrivateKey(key))[0] ?? 0) >> 7 === half) return key;
    }
  }
}
