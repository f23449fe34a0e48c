import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { request, type Agent } from 'undici';

import { PROGRAMS, freePort, spawnProgram } from './agent-program.ts';
import type { TestImage } from './image.ts';

/** The registry of the images that the agents hold. */
const REGISTRY = 'registry.example.test';

/** An agent of its own process, over a layout that holds the image. */
export interface LayoutAgent {
  readonly process: ChildProcess;
  /** Origin of its mirror. */
  readonly mirror: string;
  /** Origin of its metrics. */
  readonly metrics: string;
  /** Where its DHT listens, as a multiaddr. */
  readonly router: string;
}

/** How an agent is started. */
export interface LayoutAgentInit {
  readonly flags: readonly string[];
  readonly image?: TestImage;
  /** Address on loopback where it listens for peers. Default `127.0.0.1`. */
  readonly ip?: string;
}

/** Agents in processes of their own, each over a layout. All end, and their files are removed, when this is disposed of. */
export class LayoutAgents implements AsyncDisposable {
  readonly folder: string;
  readonly #running: LayoutAgent[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<LayoutAgents> {
    return new LayoutAgents(await mkdtemp(join(tmpdir(), 'peerglass-agents-')));
  }

  /** Starts an agent that knows those started before it. */
  async start(name: string, init: LayoutAgentInit): Promise<LayoutAgent> {
    const { flags, image, ip = '127.0.0.1' } = init;
    const layout = join(this.folder, `${name}-layout`);
    await writeLayout(layout, name, image);
    const [mirror, router, metrics] = [await freePort(), await freePort(), await freePort()];
    const bootstrap = this.#running.flatMap((it) => ['--static-bootstrap-peers', it.router]);
    const child = spawnProgram(PROGRAMS.sources, [
      ...['registry', '--oci-layout', layout, '--registry-addr', `${ip}:${mirror}`],
      ...['--router-addr', `${ip}:${router}`, '--metrics-addr', `127.0.0.1:${metrics}`],
      ...[...bootstrap, ...flags],
    ]);
    child.stderr.resume();
    child.stdout.resume();
    const agent = {
      process: child,
      mirror: `${flags.includes('--registry-tls-cert') ? 'https' : 'http'}://${ip}:${mirror}`,
      metrics: `http://127.0.0.1:${metrics}`,
      router: `/ip4/${ip}/tcp/${router}`,
    };
    this.#running.push(agent);
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process: child } of this.#running) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    await rm(this.folder, { recursive: true });
  }
}

/** Asks the agent for the manifest and a layer of the image, and returns the statuses. */
export async function pullFrom(
  { mirror }: LayoutAgent,
  image: TestImage,
  dispatcher: Agent,
): Promise<number[]> {
  const paths = [`manifests/${image.manifest.digest}`, `blobs/${image.layers[0] ?? ''}`];
  const statuses: number[] = [];
  for (const path of paths) {
    const url = `${mirror}/v2/team/app/${path}?ns=${REGISTRY}`;
    const { statusCode, body } = await request(url, { dispatcher });
    await body.dump();
    statuses.push(statusCode);
  }
  return statuses;
}

/** Reads a metric: the sum of its lines. @param line a global regular expression whose group is the value */
export async function metricOf({ metrics }: LayoutAgent, line: RegExp): Promise<number> {
  const { body } = await request(`${metrics}/metrics`);
  const text = await body.text();
  return [...text.matchAll(line)].reduce((sum, [, value]) => sum + Number(value), 0);
}

async function writeLayout(layout: string, name: string, image?: TestImage): Promise<void> {
  const { manifest, blobs } = image ?? { blobs: new Map<string, Buffer>() };
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  for (const [digest, bytes] of blobs) {
    await writeFile(join(layout, 'blobs/sha256', digest.slice('sha256:'.length)), bytes);
  }
  const annotations = { 'org.opencontainers.image.ref.name': `${REGISTRY}/team/${name}:1.0` };
  const manifests = manifest === undefined ? [] : [{ ...manifest, annotations }];
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}
