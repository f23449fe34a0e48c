import { setTimeout as sleep } from 'node:timers/promises';

import { waitFor } from '../../harness/wait.ts';
import { BenchAgent, type DirectoryStatus } from './agent.ts';
import { settled, totalCpuMs } from './proc.ts';
import { sum } from './samples.ts';

/** Agents that find each other on one machine with few cores take their time. */
const CONNECT_MS = 420_000;
/** Milliseconds from the start of one agent to that of the next. */
const STAGGER_MS = 100;

/** Agents on one machine, every one connected with every other. */
export class Network implements AsyncDisposable {
  readonly agents: readonly BenchAgent[];
  readonly #flags: readonly string[];

  /** @param flags further words for each agent's `registry` */
  constructor(count: number, flags: readonly string[] = []) {
    this.agents = Array.from({ length: count }, (_, index) => new BenchAgent(index + 1));
    this.#flags = flags;
  }

  /** Starts the agents, each with those before it as bootstrap peers, and waits until each knows all others. */
  async start(): Promise<void> {
    for (const [index, agent] of this.agents.entries()) {
      const peers = this.agents.slice(0, index).map(({ router }) => router);
      await agent.start({ peers, flags: this.#flags });
      await sleep(STAGGER_MS);
    }
    await this.connected();
  }

  /** Waits until all agents, and some more, know each other and no other peer. */
  async connected(more: readonly BenchAgent[] = []): Promise<void> {
    const agents = [...this.agents, ...more];
    await waitFor(
      `${agents.length} agents know each other`,
      async () => {
        const states = await statuses(agents);
        if (states.every((state) => state?.peers === agents.length - 1)) return true;
        throw new Error(`peers known: ${states.map((state) => state?.peers ?? '-').join(' ')}`);
      },
      { timeoutMs: CONNECT_MS, everyMs: 500 },
    );
  }

  /** Waits until the agents are through with what follows from their start, or two minutes. */
  async settled(): Promise<void> {
    await settled(this.agents.map(({ pid }) => pid));
  }

  /** CPU that the agents have taken together, in milliseconds. */
  cpuMs(): Promise<number> {
    return totalCpuMs(this.agents.map(({ pid }) => pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.agents.map((agent) => agent.stop()));
  }
}

/** The state of content routing of all agents, at about the same time. */
export function statuses(
  agents: readonly BenchAgent[],
): Promise<readonly (DirectoryStatus | undefined)[]> {
  return Promise.all(agents.map((agent) => agent.status()));
}

/** Provider records that the agents keep together. */
export async function totalRecords(agents: readonly BenchAgent[]): Promise<number> {
  return sum((await statuses(agents)).map((state) => state?.records ?? 0));
}
