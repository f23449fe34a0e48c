import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { agentEnvironment } from '../../harness/agent-process.ts';
import { Child } from '../../harness/child.ts';
import { runDirectory } from '../../harness/run.ts';
import { initLayout } from '../../../scripts/oci-image/oci-layout.ts';

/** The program that is measured: the bundle, or the one that the variable names. */
export const PROGRAM =
  process.env['PEERGLASS_E2E_AGENT'] ??
  fileURLToPath(new URL('../../../dist/peerglass.mjs', import.meta.url));

/**
 * Words that take all capabilities from root, as the chart does: the agent then falls under the limits of a user, of
 * which that on the pages of pipes counts most. By `PEERGLASS_BENCH_CAPABILITIES=none`.
 */
const WITHOUT_CAPABILITIES =
  process.env['PEERGLASS_BENCH_CAPABILITIES'] === 'none'
    ? (['setpriv', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs', '--'] as const)
    : ([] as const);

/** Ports on a loopback address of its own; below those that the system gives out. */
const PORTS = { registry: 15_000, router: 15_001, metrics: 15_090 } as const;

/** The state of content routing in `/debug/status`. */
export interface DirectoryStatus {
  readonly peers: number;
  readonly advertisedKeys: number;
  /** Provider records kept, the agent's own included. */
  readonly records: number;
}

/** Options of {@link BenchAgent}. */
export interface BenchAgentInit {
  /** Router addresses of its bootstrap peers. */
  readonly peers?: readonly string[];
  /** Further words for `registry`. */
  readonly flags?: readonly string[] | undefined;
  /** Words for node. */
  readonly nodeFlags?: readonly string[];
  /** The program to run. Default: {@link PROGRAM}. */
  readonly program?: string;
}

/** Agents made so far: each has a folder of its own, though addresses are used again. */
let made = 0;

/** An agent on a loopback address of its own, over an image layout of its own. */
export class BenchAgent implements AsyncDisposable {
  readonly folder: string;
  readonly layout: string;
  readonly mirror: string;
  readonly metrics: string;
  /** Multiaddr of its router, without the peer ID. */
  readonly router: string;
  readonly #host: string;
  #child: Child | undefined;

  /** @param index its number, from 1 to 250 */
  constructor(index: number) {
    this.#host = `${loopbackNetwork()}.${index}`;
    this.folder = join(runDirectory(), `agent-${++made}`);
    this.layout = join(this.folder, 'layout');
    this.mirror = `http://${this.#host}:${PORTS.registry}`;
    this.metrics = `http://${this.#host}:${PORTS.metrics}`;
    this.router = `/ip4/${this.#host}/tcp/${PORTS.router}`;
  }

  get pid(): number {
    if (this.#child === undefined) throw new Error('the agent is not started');
    return this.#child.pid;
  }

  /** Starts the process without waiting for anything. */
  async start(init: BenchAgentInit = {}): Promise<void> {
    const { peers = [], flags = [], nodeFlags = [], program = PROGRAM } = init;
    await initLayout(this.layout);
    const addresses = {
      registry: '--registry-addr',
      router: '--router-addr',
      metrics: '--metrics-addr',
    };
    this.#child = new Child({
      command: [
        ...WITHOUT_CAPABILITIES,
        process.execPath,
        ...nodeFlags,
        ...[program, 'registry', '--oci-layout', this.layout],
        // No containerd verified the blobs of a layout, so the scrubber would read all of them at the start.
        ...['--scrub-rate', '0'],
        ...Object.entries(addresses).flatMap(([what, flag]) => [
          flag,
          `${this.#host}:${PORTS[what as keyof typeof PORTS]}`,
        ]),
        ...peers.flatMap((address) => ['--static-bootstrap-peers', address]),
        ...flags,
      ],
      logFile: join(this.folder, 'agent.log'),
      env: agentEnvironment(),
    });
  }

  /** The state of its content routing; undefined while it does not answer. */
  async status(): Promise<DirectoryStatus | undefined> {
    if (this.#child?.isRunning !== true) throw new Error(`agent ended: ${await this.logTail()}`);
    const response = await fetch(`${this.metrics}/debug/status`).catch(() => undefined);
    if (response?.ok !== true) return undefined;
    const { directory } = (await response.json()) as { directory: DirectoryStatus };
    return directory;
  }

  /** The text of `/metrics`. */
  async scrape(): Promise<string> {
    const response = await fetch(`${this.metrics}/metrics`);
    return await response.text();
  }

  logTail(): Promise<string> {
    return this.#child?.logTail(20) ?? Promise.resolve('');
  }

  /** Whether `/readyz` says that it is ready. */
  async isReady(): Promise<boolean> {
    const response = await fetch(`${this.metrics}/readyz`).catch(() => undefined);
    await response?.body?.cancel();
    return response?.ok === true;
  }

  /** Ends the process without a warning, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child?.signal('SIGKILL');
    await this.#child?.exited;
    this.#child = undefined;
  }

  /** Ends the process in order, and waits until it is gone. */
  async stop(): Promise<void> {
    await this.#child?.stop(10_000);
    this.#child = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The first three bytes of the addresses of this run: others may measure on the same machine. */
function loopbackNetwork(): string {
  return `127.${64 + ((process.pid >> 8) % 128)}.${process.pid % 256}`;
}
