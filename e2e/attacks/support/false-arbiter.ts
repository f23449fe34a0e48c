import { fileURLToPath } from 'node:url';

import { agentEnvironment, PORTS } from '../../harness/agent-process.ts';
import type { Child } from '../../harness/child.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';

const PROGRAM = fileURLToPath(new URL('false-arbiter-main.ts', import.meta.url));
const CONTROL_PORT = 4999;

/** What a false arbiter answers the questions about downloads with. */
export const LIES = [
  // Each node is to fetch, or to do as if there were no arbiter.
  'fetch',
  'alone',
  // Whom to follow: the node that asks; a machine that is not there; the liar, and peers that do not exist, at a port that
  // takes connections and says nothing; addresses of something else.
  'follow-asker',
  'follow-dead',
  'follow-liar',
  'follow-invented',
  'follow-forbidden',
  'held-dead',
  // The liar, which sends two thousand bytes of a layer in a second.
  'follow-dripping',
  // No answer that can be read, and none at all.
  'garbage',
  'silence',
] as const;
export type Lie = (typeof LIES)[number];

/** What a false arbiter does beside its answers. */
export interface Deeds {
  /** Questions a second to each member, all of which name another digest. */
  readonly questionsPerSecond?: number;
  /** Digests that it reports to hold, to each member, and again ten times a second. */
  readonly claims?: readonly string[];
}

/** An order, or nothing of it to leave the rest as it is. */
export interface Order extends Deeds {
  readonly lie?: Lie;
  /** Folder of the OCI layout that its registry drips; its registry says nothing until the next order without one. */
  readonly drips?: string;
}

/** A member with the swarm key that decides on downloads as it is ordered; all else it does as it should. */
export class FalseArbiter implements AsyncDisposable {
  readonly host: Host;
  readonly #child: Child;

  private constructor(host: Host, child: Child) {
    this.host = host;
    this.#child = child;
  }

  /** @param peers addresses of the nodes that it joins */
  static async start(host: Host, peers: readonly string[]): Promise<FalseArbiter> {
    const routers = peers.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
    const ports = [PORTS.router, PORTS.registry, CONTROL_PORT].map(String);
    const child = host.start('false-arbiter', {
      env: agentEnvironment(),
      command: [process.execPath, PROGRAM, ...ports, ...routers],
    });
    const arbiter = new FalseArbiter(host, child);
    await waitFor('the false arbiter has joined', () => arbiter.order({})).catch(
      async (error: unknown) => {
        throw new Error(await child.logTail(), { cause: error });
      },
    );
    return arbiter;
  }

  /** From now on it does so. Returns how many questions it was asked since the last order. */
  async order(order: Order): Promise<{ readonly asked: number; readonly sent: number }> {
    const url = `http://127.0.0.1:${CONTROL_PORT}/`;
    const response = await this.host.fetch(url, { method: 'POST', body: JSON.stringify(order) });
    return (await response.json()) as { asked: number; sent: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }
}
