import { basename } from 'node:path';

import { agentEnvironment, PORTS } from '../../harness/agent-process.ts';
import type { Child } from '../../harness/child.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';

const CONTROL_PORT = 4999;

/** What such a member has done since the last order. */
export interface Deeds {
  /** Questions that it was asked. */
  readonly asked: number;
  /** Messages that it has sent. */
  readonly sent: number;
}

/**
 * A member with the swarm key that lies in one protocol as it is ordered, and does all else as it should. Its program is a
 * `LyingMember`.
 */
export class OrderedMember<Order extends object> implements AsyncDisposable {
  readonly host: Host;
  readonly #child: Child;

  private constructor(host: Host, child: Child) {
    this.host = host;
    this.#child = child;
  }

  /**
   * @param program its file
   * @param peers addresses of the nodes that it joins
   */
  static async start<Order extends object>(
    program: string,
    host: Host,
    peers: readonly string[],
  ): Promise<OrderedMember<Order>> {
    const name = basename(program, '-main.ts');
    const routers = peers.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
    const ports = [PORTS.router, PORTS.registry, CONTROL_PORT].map(String);
    const child = host.start(name, {
      env: agentEnvironment(),
      command: [process.execPath, program, ...ports, ...routers],
    });
    const member = new OrderedMember<Order>(host, child);
    await waitFor(`the ${name} has joined`, () => member.#send('{}')).catch(
      async (error: unknown) => {
        throw new Error(await child.logTail(), { cause: error });
      },
    );
    return member;
  }

  /** From now on it does so. */
  async order(order: Order): Promise<Deeds> {
    return await this.#send(JSON.stringify(order));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }

  async #send(body: string): Promise<Deeds> {
    const url = `http://127.0.0.1:${CONTROL_PORT}/`;
    const response = await this.host.fetch(url, { method: 'POST', body });
    return (await response.json()) as Deeds;
  }
}
