import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import type { PrivateKey, Stream } from '@libp2p/interface';

import type { Member } from '../../../agent/fanout/question.ts';
import { StaticBootstrapper } from '../../../agent/routing/bootstrap/static-bootstrapper.ts';
import { FrameReader } from '../../../agent/routing/dht/frame-reader.ts';
import { frame } from '../../../agent/routing/dht/frames.ts';
import { Libp2pRouter } from '../../../agent/routing/libp2p-router.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { createNode, type RoutingNode } from '../../../agent/routing/node/libp2p-node.ts';
import { quiet } from '../../../agent/testing/quiet.ts';
import { memberOf } from '../../harness/swarm.ts';
import type { Deeds } from './ordered-member.ts';

/** Time between two rounds of messages, in milliseconds. */
const ROUND_MS = 100;

/** What a {@link LyingMember} lies about, and how. */
export interface Lies {
  readonly protocol: string;
  readonly maxBytes: number;
  /** The bytes of the answer; undefined when it does not answer. `self` is where it is itself. */
  readonly answer: (message: Uint8Array, asker: string, self: Member) => Uint8Array | undefined;
  /** What it sends to each member in a round, ten times a second. */
  readonly messages: () => readonly Uint8Array[];
}

/**
 * For the program of an `OrderedMember`, which is `node PROGRAM ROUTER-PORT REGISTRY-PORT CONTROL-PORT PEER...`: a member of the
 * DHT that does there what it should, and lies in one protocol.
 */
export class LyingMember {
  readonly router: Libp2pRouter;
  readonly registryPort: number;
  readonly #lies: Lies;
  readonly #controlPort: number;
  #node: RoutingNode | undefined;
  #asked = 0;
  #sent = 0;

  private constructor(
    lies: Lies,
    privateKey: PrivateKey,
    [routerPort, registryPort, controlPort, ...peers]: readonly string[],
  ) {
    this.#lies = lies;
    this.registryPort = Number(registryPort);
    this.#controlPort = Number(controlPort);
    this.router = new Libp2pRouter(
      {
        privateKey,
        bootstrapper: new StaticBootstrapper(peers),
        logger: quiet,
        ...memberOf(),
        createNode: async (init) => {
          const made = await createNode(init);
          this.#node = made.node;
          await made.node.handle(lies.protocol, (stream, { remotePeer }) => {
            this.#answerAll(stream, remotePeer.toString()).catch((error: unknown) => {
              stream.abort(error instanceof Error ? error : new Error('cannot serve'));
            });
          });
          return made;
        },
      },
      { listen: [`/ip4/0.0.0.0/tcp/${routerPort}`], registryPort: this.registryPort },
    );
  }

  /** Joins the peers that the words of the command line name. */
  static async join(lies: Lies, words = process.argv.slice(2)): Promise<LyingMember> {
    const member = new LyingMember(lies, await loadIdentity(), words);
    await member.router.start();
    while (member.router.status().peers < words.length - 3) await sleep(50);
    return member;
  }

  /** Takes orders, and sends its messages, until the process ends. */
  async serve(obey: (order: unknown) => void): Promise<never> {
    createServer((req, res) => {
      json(req).then(
        (body) => {
          obey(body);
          const deeds: Deeds = { asked: this.#asked, sent: this.#sent };
          res.end(JSON.stringify(deeds));
          this.#asked = 0;
          this.#sent = 0;
        },
        (error: unknown) => res.writeHead(500).end(String(error)),
      );
    }).listen(this.#controlPort);
    for (;;) {
      const messages = this.#lies.messages();
      const peers = this.#node?.getPeers() ?? [];
      await Promise.all([sleep(ROUND_MS), ...peers.map((peer) => this.#send(peer, messages))]);
    }
  }

  async #answerAll(stream: Stream, asker: string): Promise<void> {
    using reader = new FrameReader(stream, this.#lies.maxBytes);
    for (;;) {
      const message = await reader.next();
      if (message === undefined) return;
      this.#asked += 1;
      const { peerId, origins } = this.router.self();
      const self: Member = { peerId, origins: [...origins] };
      const answer = this.#lies.answer(message, asker, self);
      if (answer !== undefined) stream.send(frame(answer));
    }
  }

  /** Does not wait for the answers. */
  async #send(
    peer: ReturnType<RoutingNode['getPeers']>[number],
    messages: readonly Uint8Array[],
  ): Promise<void> {
    if (messages.length === 0) return;
    try {
      const stream = await this.#node?.dialProtocol(peer, this.#lies.protocol);
      if (stream === undefined) return;
      // At once: a frame of each would keep this process from its rate.
      stream.send(Buffer.concat(messages.map((each) => frame(each))));
      this.#sent += messages.length;
      await sleep(ROUND_MS);
      stream.abort(new Error('enough'));
    } catch {
      // The node has ended the stream, as it should: the next round opens another.
    }
  }
}
