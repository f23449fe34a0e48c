import { fileURLToPath } from 'node:url';

import { PORTS } from '../../harness/agent-process.ts';
import type { Child } from '../../harness/child.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';
import { agentEnvironment } from '../../harness/agent-process.ts';

const PROGRAM = fileURLToPath(new URL('flooder-main.ts', import.meta.url));
const CONTROL_PORT = 4999;

/** How it floods. */
export interface FloodOrder {
  /** Members that flood; new ones each time. */
  readonly identities: number;
  /** Records that each of them provides to each peer. */
  readonly records: number;
}

/** Which records are asked for. */
export interface NamedOrder {
  readonly keys: readonly string[];
  readonly peerId: string;
}

/** A machine with members of the DHT that provide as many records as they can. */
export class Flooder implements AsyncDisposable {
  readonly #host: Host;
  readonly #child: Child;

  private constructor(host: Host, child: Child) {
    this.#host = host;
    this.#child = child;
  }

  /** @param peers addresses of the nodes that it floods */
  static async start(host: Host, peers: readonly string[]): Promise<Flooder> {
    const routers = peers.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
    const child = host.start('flooder', {
      env: agentEnvironment(),
      command: [process.execPath, PROGRAM, String(CONTROL_PORT), ...routers],
    });
    const flooder = new Flooder(host, child);
    await waitFor('the flooder runs', () =>
      flooder.flood({ identities: 0, records: 0 }).then(() => true),
    );
    return flooder;
  }

  /** Resolves when the peers have handled all records. */
  async flood(order: FloodOrder): Promise<void> {
    await this.#send('flood', order);
  }

  /** How often a flooded peer that is asked for one of the keys names the holder. */
  async named(order: NamedOrder): Promise<number> {
    return (await this.#send('named', order)) as number;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }

  async #send(what: string, argument: unknown): Promise<unknown> {
    const response = await this.#host.fetch(`http://127.0.0.1:${CONTROL_PORT}/${what}`, {
      method: 'POST',
      body: JSON.stringify(argument),
    });
    const text = await response.text();
    if (response.status !== 200)
      throw new Error(`${what}: ${text}\n${await this.#child.logTail()}`);
    return JSON.parse(text);
  }
}
