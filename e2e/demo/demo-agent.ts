import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Time in which an agent must become ready, in milliseconds. */
const READY_WITHIN_MS = 30_000;

/** An agent of the demo: one process on one loopback address. */
export interface DemoAgent {
  readonly name: string;
  readonly process: ChildProcess;
  readonly layout: string;
  readonly log: string;
  /** Base URLs of mirror and metrics, and the address of the router. */
  readonly mirror: string;
  readonly metrics: string;
  readonly router: string;
}

/** Options of {@link startDemoAgent}. */
export interface DemoAgentInit {
  readonly name: string;
  /** A loopback address. */
  readonly host: string;
  /** Has its images, in `layout`, and its log. */
  readonly folder: string;
  readonly peers: readonly DemoAgent[];
  /** File with the swarm key. */
  readonly swarmKey: string;
  /** Whether it runs on when the program ends. Default: no. */
  readonly detached?: boolean;
}

/** Starts the program, as it ships, over `<folder>/layout`, and waits until it is ready. */
export async function startDemoAgent({
  name,
  host,
  folder,
  peers,
  swarmKey,
  detached = false,
}: DemoAgentInit): Promise<DemoAgent> {
  const layout = join(folder, 'layout');
  const log = join(folder, 'agent.log');
  mkdirSync(layout, { recursive: true });
  const [mirrorPort, routerPort, metricsPort] = [
    await freePort(host),
    await freePort(host),
    await freePort(host),
  ];
  const output = openSync(log, 'a');
  const bootstrap = peers.flatMap(({ router }) => ['--static-bootstrap-peers', router]);
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../../agent/main.ts'),
      'registry',
      ...['--oci-layout', layout, '--swarm-key-file', swarmKey],
      ...['--registry-addr', `${host}:${mirrorPort}`],
      ...['--router-addr', `${host}:${routerPort}`],
      ...['--metrics-addr', `${host}:${metricsPort}`],
      ...bootstrap,
    ],
    { stdio: ['ignore', output, output], detached },
  );
  closeSync(output);
  const agent = {
    name,
    process: child,
    layout,
    log,
    mirror: `http://${host}:${mirrorPort}`,
    metrics: `http://${host}:${metricsPort}`,
    router: `/ip4/${host}/tcp/${routerPort}`,
  };
  await untilReady(agent);
  return agent;
}

/** Ends the agent and waits until its process is gone. */
export async function stopDemoAgent({ process: child }: DemoAgent): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** The answer of `/debug/status`. */
export async function statusOf(
  agent: DemoAgent,
): Promise<{ directory: { peers: number; advertisedKeys: number } }> {
  const response = await fetch(`${agent.metrics}/debug/status`);
  return (await response.json()) as { directory: { peers: number; advertisedKeys: number } };
}

async function untilReady(agent: DemoAgent): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (agent.process.exitCode === null && Date.now() < deadline) {
    const response = await fetch(`${agent.metrics}/readyz`).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok === true) return;
    await delay(50);
  }
  agent.process.kill('SIGKILL');
  throw new Error(`${agent.name} did not become ready:\n${readFileSync(agent.log, 'utf8')}`);
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
