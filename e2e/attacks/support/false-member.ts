import { fileURLToPath } from 'node:url';

import { PORTS } from '../../harness/agent-process.ts';
import type { Child } from '../../harness/child.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';
import type { Falsehood } from './false-answer.ts';
import { agentEnvironment } from '../../harness/agent-process.ts';

const PROGRAM = fileURLToPath(new URL('false-member-main.ts', import.meta.url));
const MEMBERS_PROGRAM = fileURLToPath(new URL('members-main.ts', import.meta.url));
const CONTROL_PORT = 4999;

/** Questions that a false member was asked since its last order. */
export interface Asked {
  readonly findNode: number;
  readonly getProviders: number;
  /** Requests for content, after the order `misplaced`. */
  readonly content: number;
}

/** A machine with a member of the DHT that lies, and with a registry only if it names others at its own address. */
export class FalseMember implements AsyncDisposable {
  readonly host: Host;
  readonly #child: Child;

  private constructor(host: Host, child: Child) {
    this.host = host;
    this.#child = child;
  }

  /** @param peer address of a node that it joins */
  static async start(host: Host, peer: string): Promise<FalseMember> {
    const ports = [PORTS.router, CONTROL_PORT, PORTS.registry].map(String);
    const child = host.start('false-member', {
      env: agentEnvironment(),
      command: [process.execPath, PROGRAM, ...ports, routerOf(peer)],
    });
    const member = new FalseMember(host, child);
    await waitFor('the false member has joined', () => member.asked()).catch(
      async (error: unknown) => {
        throw new Error(await child.logTail(), { cause: error });
      },
    );
    return member;
  }

  /** From now on it answers so. */
  async order(kind: Falsehood): Promise<void> {
    await this.#send('order', kind);
  }

  asked(): Promise<Asked> {
    return this.#send('asked', '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }

  async #send(what: string, body: string): Promise<Asked> {
    const url = `http://127.0.0.1:${CONTROL_PORT}/${what}`;
    const response = await this.host.fetch(url, { method: 'POST', body });
    return (await response.json()) as Asked;
  }
}

/**
 * Starts honest members without content, all in one process.
 *
 * @param peer address of a node that they join
 */
export async function startMembers(host: Host, count: number, peer: string): Promise<Child> {
  const words = [String(count), String(PORTS.router), routerOf(peer)];
  const child = host.start('members', {
    env: agentEnvironment(),
    command: [process.execPath, MEMBERS_PROGRAM, ...words],
  });
  await waitFor('the members have joined', async () => (await child.logTail()) === 'joined', {
    timeoutMs: 60_000,
  }).catch(async (error: unknown) => {
    throw new Error(await child.logTail(), { cause: error });
  });
  return child;
}

function routerOf(address: string): string {
  return `/ip4/${address}/tcp/${PORTS.router}`;
}
