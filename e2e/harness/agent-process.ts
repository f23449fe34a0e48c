import { writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { RequestInit, Response } from 'undici';

import { formatSwarmKey, newSwarmKey } from '../../agent/membership/swarm-key.ts';
import type { Child, ExitStatus } from './child.ts';
import type { ContainerdNode } from './containerd-node.ts';
import { sumOfSamples } from './metric-text.ts';
import { runDirectory } from './run.ts';
import { procStats, type ProcStats } from './proc-stats.ts';
import { waitFor } from './wait.ts';

/** Ports as Spegel has them; each node is a machine of its own, so they never collide. */
export const PORTS = { registry: 5000, router: 5001, metrics: 9090 } as const;

/**
 * The program under test: the sources, or another file (the bundle) named by the variable
 * `PEERGLASS_E2E_AGENT`.
 */
export const PROGRAM =
  process.env['PEERGLASS_E2E_AGENT'] ??
  fileURLToPath(new URL('../../agent/main.ts', import.meta.url));

/** What agents are started with, as the image has it (scripts/image/platform-image.ts). */
const IMAGE_ENVIRONMENT = { NODE_ENV: 'production', MALLOC_ARENA_MAX: '1' } as const;

let swarmKeyFile: string | undefined;

/** The variables of agents: those of the image, and a swarm key that all agents of the run share. */
export function agentEnvironment(): Readonly<Record<string, string>> & {
  readonly SWARM_KEY_FILE: string;
} {
  if (swarmKeyFile === undefined) {
    swarmKeyFile = join(runDirectory(), 'swarm.key');
    writeFileSync(swarmKeyFile, formatSwarmKey(newSwarmKey()), { mode: 0o600 });
  }
  return { ...IMAGE_ENVIRONMENT, SWARM_KEY_FILE: swarmKeyFile };
}

/** The same for agents without a key, as in a cluster with nodes of Spegel. */
export const OPEN_ENVIRONMENT = { SWARM_KEY_FILE: '', PEERGLASS_OPEN: 'true' } as const;

/** Options of {@link AgentProcess}. */
export interface AgentInit {
  readonly node: ContainerdNode;
  /** Addresses of the nodes whose agents are its bootstrap peers. */
  readonly peers: readonly string[];
  /** Further words for `registry`. */
  readonly flags?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Another program than {@link PROGRAM}. */
  readonly program?: string | undefined;
  /** Words for node itself. */
  readonly nodeFlags?: readonly string[] | undefined;
  /** Default `DEBUG`, for the report of a failure. */
  readonly logLevel?: string | undefined;
}

/** The agent of a node, run as a process of its own beside the node's containerd. */
export class AgentProcess implements AsyncDisposable {
  readonly node: ContainerdNode;
  readonly #init: AgentInit;
  #scheme: 'http' | 'https' = 'http';
  #child: Child;

  private constructor(init: AgentInit) {
    this.node = init.node;
    this.#init = init;
    this.#child = this.#spawn(init);
  }

  /** Starts the process without waiting for it to be ready. */
  static async launch(init: AgentInit): Promise<AgentProcess> {
    await mkdir(dataDirectory(init), { recursive: true });
    return new AgentProcess(init);
  }

  /** Starts the process and waits until `/readyz` answers 200. */
  static async start(init: AgentInit): Promise<AgentProcess> {
    const agent = await AgentProcess.launch(init);
    await agent.ready();
    return agent;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child.isRunning;
  }

  /** How the process ended, when it has. */
  get exited(): Promise<ExitStatus> {
    return this.#child.exited;
  }

  /** Resolves once `/readyz` answers 200. */
  async ready(timeoutMs = 60_000): Promise<void> {
    const what = `the agent on ${this.node.host.name} is ready`;
    await waitFor(
      what,
      async () => {
        if (!this.isRunning) throw new Error('it has ended');
        const response = await this.fetchMetrics('/readyz');
        const text = await response.text();
        if (response.status !== 200) throw new Error(`/readyz: ${response.status} ${text}`);
        return true;
      },
      { timeoutMs },
    ).catch(async (error: unknown) => {
      throw new Error(`${what}: no\n${await this.logTail()}`, { cause: error });
    });
  }

  /** Sends a signal. */
  signal(signal: NodeJS.Signals): void {
    this.#child.signal(signal);
  }

  /** Ends the process the hard way, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.signal('SIGKILL');
    await this.#child.exited;
  }

  /** Asks the process to end, and waits until it is gone. */
  async stop(): Promise<void> {
    await this.#child.stop();
  }

  /** Ends the process if it still runs, and starts it again: by default as before, and until it is ready. */
  async restart(
    change: Pick<AgentInit, 'flags' | 'env'> = this.#init,
    { waitUntilReady = true } = {},
  ): Promise<void> {
    await this.#child.stop();
    this.#child = this.#spawn({ ...this.#init, flags: change.flags, env: change.env });
    if (waitUntilReady) await this.ready();
  }

  /** Asks the mirror as the node's containerd does: from the node itself, over loopback. */
  fetch(path: string, init?: RequestInit): Promise<Response> {
    return this.node.host.fetch(`${this.#scheme}://127.0.0.1:${PORTS.registry}${path}`, init);
  }

  /** Asks the server of `/metrics`, `/readyz` and `/livez`. */
  fetchMetrics(path: string): Promise<Response> {
    return this.node.host.fetch(`http://127.0.0.1:${PORTS.metrics}${path}`);
  }

  /** The sum of a metric's samples whose labels include all of these; 0 when there is none. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await (await this.fetchMetrics('/metrics')).text();
    return sumOfSamples(text, name, labels);
  }

  /** Memory and descriptors of the process at this moment. */
  stats(): Promise<ProcStats> {
    return procStats(this.pid);
  }

  /** The last lines of its log. */
  logTail(lines?: number): Promise<string> {
    return this.#child.logTail(lines);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }

  #spawn(init: AgentInit): Child {
    const { node, peers, flags = [], env = {}, nodeFlags = [] } = init;
    const { program = PROGRAM, logLevel = 'DEBUG' } = init;
    this.#scheme = flags.includes('--registry-tls-cert') ? 'https' : 'http';
    const bootstrap = peers.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
    return node.host.start('agent', {
      command: [
        process.execPath,
        ...nodeFlags,
        ...[program, 'registry', '--log-level', logLevel],
        ...['--containerd-sock', node.socket, '--containerd-content-path', node.contentPath],
        ...['--registry-addr', `:${PORTS.registry}`, '--router-addr', `:${PORTS.router}`],
        ...['--metrics-addr', `:${PORTS.metrics}`, '--data-dir', dataDirectory({ node })],
        ...bootstrap.flatMap((address) => ['--static-bootstrap-peers', address]),
        ...flags,
      ],
      env: { ...agentEnvironment(), ...env },
    });
  }
}

function dataDirectory({ node }: Pick<AgentInit, 'node'>): string {
  return join(node.host.directory, 'agent');
}
