import { fileURLToPath } from 'node:url';

import { blobPath } from '../../scripts/oci-image/oci-layout.ts';
import { PORTS } from './agent-process.ts';
import type { Child } from './child.ts';
import type { ImageFixture } from './fixtures.ts';
import type { Host } from './namespaces.ts';
import type { RogueContent, RogueOrders, RogueRequest, RogueStatus } from './rogue-behaviour.ts';
import { waitFor } from './wait.ts';

const PROGRAM = fileURLToPath(new URL('rogue-main.ts', import.meta.url));
const CONTROL_PORT = 4999;

/** Options of {@link RogueNode}. */
export interface RogueNodeInit {
  readonly host: Host;
  /** Addresses of nodes whose agents it joins. */
  readonly peers: readonly string[];
}

/**
 * A machine with a normal node of the DHT, and with a mirror that misbehaves on command. It advertises all keys of its
 * images, so that agents send it requests.
 */
export class RogueNode implements AsyncDisposable {
  readonly host: Host;
  /** Its peer ID. */
  readonly peerId: string;
  readonly #child: Child;

  private constructor(host: Host, peerId: string, child: Child) {
    this.host = host;
    this.peerId = peerId;
    this.#child = child;
  }

  /** Starts it and waits until it knows another node. */
  static async start({ host, peers }: RogueNodeInit): Promise<RogueNode> {
    const ports = [PORTS.registry, PORTS.router, CONTROL_PORT].map(String);
    const bootstrap = peers.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
    const child = host.start('rogue', {
      command: [process.execPath, PROGRAM, ...ports, ...bootstrap],
    });
    const { peerId } = await waitFor(`the rogue ${host.name} has joined`, async () => {
      const status = (await send(host, 'status')) as RogueStatus;
      return status.peers > 0 && status;
    }).catch(async (error: unknown) => {
      throw new Error(`${host.name} did not start:\n${await child.logTail()}`, { cause: error });
    });
    return new RogueNode(host, peerId, child);
  }

  /** Announces all of the image, and serves it honestly until it is ordered otherwise. */
  async hold({ image, layout }: ImageFixture): Promise<void> {
    const contents = image.blobs.map(({ digest, mediaType, size }): RogueContent => {
      const keys = digest === image.target.digest ? [digest, image.name] : [digest];
      return { digest, mediaType, size, file: blobPath(layout, digest), keys };
    });
    await send(this.host, 'hold', contents);
  }

  /** From now on it does so, and nothing that it was ordered before. */
  async order(orders: RogueOrders): Promise<void> {
    await send(this.host, 'orders', orders);
  }

  /** The requests for content since the last {@link clear}. */
  async requests(): Promise<readonly RogueRequest[]> {
    return (await send(this.host, 'requests')) as readonly RogueRequest[];
  }

  /** Withdraws all it holds, forgets requests and orders. */
  async clear(): Promise<void> {
    await send(this.host, 'drop');
  }

  /** Sends a signal to it, as to stop and continue it. */
  signal(signal: NodeJS.Signals): void {
    this.#child.signal(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }
}

async function send(host: Host, what: string, argument?: unknown): Promise<unknown> {
  const response = await host.fetch(`http://127.0.0.1:${CONTROL_PORT}/${what}`, {
    method: 'POST',
    body: JSON.stringify(argument ?? null),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${host.name} cannot ${what}: ${text}`);
  return JSON.parse(text);
}
