import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { buildImage } from '../images/image.ts';
import { agentEnvironment, PORTS, PROGRAM } from './agent-process.ts';
import type { Child } from './child.ts';
import { REGISTRY } from './fixtures.ts';
import { allPaths } from './mirror.ts';
import type { NameServer } from './name-server.ts';
import type { Host } from './namespaces.ts';
import { procStats, type ProcStats } from './proc-stats.ts';

const SHIFTED_CLOCK = fileURLToPath(new URL('shifted-clock.ts', import.meta.url));

/** Options of {@link LightNode}. */
export interface LightNodeInit {
  readonly host: Host;
  readonly nameServer: NameServer;
  /** The name behind which the nodes are found. */
  readonly service: string;
  /** Addresses at which other nodes are found instead of by the name. */
  readonly bootstrap?: readonly string[] | undefined;
}

/** The answer of the mirror to a HEAD. */
export interface Answer {
  /** 0 without an answer. */
  readonly status: number;
  readonly ms: number;
}

/** The state of content routing in `/debug/status`. */
export interface DirectoryStatus {
  readonly peers: number;
  readonly advertisedKeys: number;
  /** Records that it keeps. */
  readonly records: number;
  /** Why the last bootstrap round failed. */
  readonly bootstrapError?: string;
}

/** Parts of `/debug/status`. */
interface AgentStatus {
  readonly peerId: string;
  readonly directory: DirectoryStatus;
}

/** The mirror may think as long as it likes below this, which is a limit against hangs. */
const ANSWER_LIMIT_MS = 20_000;

/** A machine with an agent over an OCI image layout, which takes next to nothing, and no containerd. */
export class LightNode implements AsyncDisposable {
  readonly name: string;
  readonly host: Host;
  /** Its IPv6 address beside the IPv4 address of the host. */
  readonly address6: string;
  /** Paths at a mirror of everything that it holds. */
  readonly paths: string[] = [];
  /** See {@link LightNodeInit}; applies at the next start. */
  bootstrap: readonly string[] | undefined;
  /** Milliseconds by which the clock of the agent is ahead; applies at the next start. */
  clockOffsetMs = 0;
  readonly #init: LightNodeInit;
  #child: Child | undefined;

  private constructor(init: LightNodeInit, address6: string) {
    this.#init = init;
    this.host = init.host;
    this.bootstrap = init.bootstrap;
    this.name = init.host.name;
    this.address6 = address6;
  }

  /** Makes the machine ready; the agent is not started yet. */
  static async create(init: LightNodeInit): Promise<LightNode> {
    const { host } = init;
    const address6 = `fd00:214::${host.address.split('.').at(-1) ?? ''}`;
    const interfaceAddress = [`${address6}/64`, 'dev', 'eth0', 'nodad'] as const;
    await host.execute(['ip', 'address', 'add', ...interfaceAddress]);
    // Started now, so that it takes nothing from what is measured later.
    await host.relay();
    return new LightNode(init, address6);
  }

  get isRunning(): boolean {
    return this.#child?.isRunning === true;
  }

  /**
   * Puts an image into the layout, whose keys are those of its small layers and three more.
   *
   * @param owner nodes with the same get the same image; default: the node's name
   */
  async addImage(
    repository: string,
    layers: number,
    owner = this.name,
  ): Promise<readonly string[]> {
    const image = await buildImage(this.#layout, {
      name: `${REGISTRY}/${repository}/${owner}:1.0`,
      layers: Array.from({ length: layers }, () => ({ files: 1, bytes: 64 })),
    });
    const paths = allPaths(image);
    this.paths.push(...paths);
    return paths;
  }

  /** Starts the agent; its identity stays the same from one start to the next. */
  start(): void {
    const { host, nameServer } = this.#init;
    const isShifted = this.clockOffsetMs !== 0;
    this.#child = host.start('agent', {
      command: nameServer.within([
        process.execPath,
        ...(isShifted ? ['--import', SHIFTED_CLOCK] : []),
        ...[PROGRAM, 'registry', '--log-level', 'DEBUG', '--oci-layout', this.#layout],
        ...['--registry-addr', `:${PORTS.registry}`, '--router-addr', `:${PORTS.router}`],
        ...['--metrics-addr', `:${PORTS.metrics}`, '--data-dir', this.#data],
        ...this.#bootstrapFlags,
      ]),
      env: {
        ...agentEnvironment(),
        ...(isShifted && { E2E_CLOCK_OFFSET_MS: String(this.clockOffsetMs) }),
      },
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.signal(signal);
  }

  /** Ends the agent as a power cut would, except that the kernel closes its connections. */
  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  /** Sends the agent a signal that ends it, and waits until it has ended. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.signal(signal);
    await this.#child?.exited;
  }

  /**
   * Kills the agent, and removes its identity and all content. What starts next is another node at the same address, as
   * a pod that got the address of one that is gone.
   */
  async reset(): Promise<void> {
    await this.kill();
    await Promise.all([this.#data, this.#layout].map((path) => rm(path, { recursive: true })));
    this.paths.length = 0;
  }

  /** Asks the agent for the path as the node's containerd does. */
  async head(path: string): Promise<Answer> {
    const started = performance.now();
    const status = await this.#fetch(PORTS.registry, path, 'HEAD').then(
      async (response) => {
        await response.body?.cancel();
        return response.status;
      },
      () => 0,
    );
    return { status, ms: performance.now() - started };
  }

  /** `undefined` while the agent does not answer. */
  async directory(): Promise<DirectoryStatus | undefined> {
    try {
      return (await this.status()).directory;
    } catch {
      return undefined;
    }
  }

  /** @throws while the agent does not answer */
  async status(): Promise<AgentStatus> {
    const response = await this.#fetch(PORTS.metrics, '/debug/status', 'GET');
    return (await response.json()) as AgentStatus;
  }

  /** Asks the server of `/metrics`, `/readyz` and `/debug`. */
  async admin(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await this.#fetch(PORTS.metrics, path, 'GET');
    return { status: response.status, text: await response.text() };
  }

  /** Memory and descriptors of the agent at this moment. */
  stats(): Promise<ProcStats> {
    return procStats(this.#child?.pid ?? 0);
  }

  logTail(lines: number): Promise<string> {
    return this.#child?.logTail(lines) ?? Promise.resolve('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGCONT');
    await this.#child?.stop();
  }

  get #layout(): string {
    return join(this.host.directory, 'layout');
  }

  get #data(): string {
    return join(this.host.directory, 'agent');
  }

  get #bootstrapFlags(): string[] {
    if (this.bootstrap === undefined) {
      return ['--bootstrap-kind', 'dns', '--dns-bootstrap-domain', this.#init.service];
    }
    const peers = this.bootstrap.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
    return [
      ...['--bootstrap-kind', 'static'],
      ...peers.flatMap((peer) => ['--static-bootstrap-peers', peer]),
    ];
  }

  #fetch(port: number, path: string, method: 'GET' | 'HEAD'): ReturnType<Host['fetch']> {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    return this.host.fetch(`http://127.0.0.1:${port}${path}`, { method, signal });
  }
}
