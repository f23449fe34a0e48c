import { fileURLToPath } from 'node:url';

import { blobPath } from '../../scripts/oci-image/oci-layout.ts';
import { agentEnvironment, PORTS, type AgentProcess } from './agent-process.ts';
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
  /** File with its swarm key, empty for none. Default: the key of the agents. */
  readonly swarmKeyFile?: string;
  /** Whether it must have joined. Default: yes. */
  readonly mustJoin?: boolean;
  /** Whether it is of an older version: it signs nothing, and knows the protocols of the DHT only. Default: no. */
  readonly isOlder?: boolean;
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

  /** Starts it and waits until it knows another node, if it must. */
  static async start(init: RogueNodeInit): Promise<RogueNode> {
    const { host, peers, mustJoin = true, isOlder = false } = init;
    const { SWARM_KEY_FILE } = agentEnvironment();
    const ports = [PORTS.registry, PORTS.router, CONTROL_PORT].map(String);
    const bootstrap = peers.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
    const child = host.start('rogue', {
      env: {
        SWARM_KEY_FILE: init.swarmKeyFile ?? SWARM_KEY_FILE,
        ...(isOlder && { OLDER: 'true' }),
      },
      command: [process.execPath, PROGRAM, ...ports, ...bootstrap],
    });
    const { peerId } = await waitFor(`the rogue ${host.name} has joined`, async () => {
      const status = (await send(host, 'status')) as RogueStatus;
      return (status.peers > 0 || !mustJoin) && status;
    }).catch(async (error: unknown) => {
      throw new Error(`${host.name} did not start:\n${await child.logTail()}`, { cause: error });
    });
    return new RogueNode(host, peerId, child);
  }

  /** An agent's sum of a metric about it: by its peer ID, or by what another node says about where it is. */
  async metricAbout(
    agent: Pick<AgentProcess, 'metric'>,
    name: string,
    labels: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const claim = `${this.peerId}@${this.host.address}:${PORTS.registry}`;
    const sums = [this.peerId, claim].map((peer) => agent.metric(name, { ...labels, peer }));
    return (await Promise.all(sums)).reduce((sum, it) => sum + it);
  }

  /** How many other nodes it knows. */
  async peers(): Promise<number> {
    return ((await send(this.host, 'status')) as RogueStatus).peers;
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
