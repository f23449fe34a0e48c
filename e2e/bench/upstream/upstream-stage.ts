import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { agentEnvironment, PORTS } from '../../harness/agent-process.ts';
import type { Child } from '../../harness/child.ts';
import { Network, type Host } from '../../harness/namespaces.ts';
import { initLayout } from '../../../scripts/oci-image/oci-layout.ts';
import { waitFor } from '../../harness/wait.ts';
import { PROGRAM } from '../support/agent.ts';
import { Nginx } from '../support/nginx.ts';

const MIB = 1 << 20;
const HTTPS_PORT = 8443;
const THROTTLED_PORT = 8081;
const REPOSITORY = 'bench/blobs';

/** Bytes a second of a connection that is throttled: a quarter of {@link LINK_MBIT}. */
const THROTTLED_RATE = 12_500_000;
/** The link of the node, where it has one, in Mbit/s. */
export const LINK_MBIT = 400;

/** The registry by one scheme, and nginx on the node that passes on to it. */
export interface Way {
  readonly scheme: 'http' | 'https';
  readonly origin: Nginx;
  readonly proxy: Nginx;
}

/**
 * A registry that is nginx with files, by http and https, and a node with an agent that fetches there and nginx that passes on
 * to it. Two further nodes have agents too, so that the agent asks as in a cluster. Each is a network namespace.
 */
export class UpstreamStage implements AsyncDisposable {
  readonly node: Host;
  readonly agent: Child;
  readonly ways: readonly Way[];
  /** The registry by http, where it throttles each connection to {@link THROTTLED_RATE}. */
  readonly throttled: Nginx;
  readonly #folder: string;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<UpstreamStage, 'node' | 'agent' | 'ways' | 'throttled'> & {
      readonly folder: string;
    },
    resources: AsyncDisposableStack,
  ) {
    this.node = parts.node;
    this.agent = parts.agent;
    this.ways = parts.ways;
    this.throttled = parts.throttled;
    this.#folder = parts.folder;
    this.#resources = resources;
  }

  /** @param profile folder for a CPU profile of the agent, written when it ends */
  static async open(profile: string | undefined): Promise<UpstreamStage> {
    await using resources = new AsyncDisposableStack();
    const network = resources.use(await Network.create());
    const [registry, node] = [await network.addHost('registry'), await network.addHost('node')];
    const folder = join(registry.directory, 'files');
    await mkdir(join(folder, 'v2', REPOSITORY, 'blobs'), { recursive: true });
    const tls = await makeCertificate(registry);
    const ways: Way[] = [];
    for (const scheme of ['http', 'https'] as const) {
      const secure = scheme === 'https' ? { port: HTTPS_PORT, tls } : {};
      const origin = resources.use(await Nginx.serve(registry, folder, secure));
      const port = scheme === 'https' ? { port: HTTPS_PORT } : {};
      ways.push({
        scheme,
        origin,
        proxy: resources.use(await Nginx.proxy(node, origin.origin, port)),
      });
    }
    const throttled = resources.use(
      await Nginx.serve(registry, folder, {
        port: THROTTLED_PORT,
        connectionRate: THROTTLED_RATE,
      }),
    );
    const others = [await network.addHost('second'), await network.addHost('third')];
    const agents: Child[] = [];
    for (const host of [node, ...others]) {
      const nodeFlags =
        profile === undefined || host !== node ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
      agents.push(
        resources.use(await startAgent(host, node, { ways, throttled, ca: tls.cert, nodeFlags })),
      );
    }
    const [agent] = agents;
    if (agent === undefined) throw new TypeError('no agent');
    await connected(node, agent, others.length);
    return new UpstreamStage({ node, agent, ways, throttled, folder }, resources.move());
  }

  /** Puts random bytes into the registry. Returns their digest. */
  async addBlob(bytes: number): Promise<string> {
    const folder = join(this.#folder, 'v2', REPOSITORY, 'blobs');
    const path = join(folder, 'new');
    const hash = createHash('sha256');
    await using file = await open(path, 'w');
    for (let left = bytes; left > 0; left -= MIB) {
      const chunk = randomBytes(Math.min(left, MIB));
      hash.update(chunk);
      await file.write(chunk);
    }
    const digest = `sha256:${hash.digest('hex')}`;
    await rename(path, join(folder, digest));
    return digest;
  }

  /** The URL of a blob at the agent, for clients on its node. */
  atAgent({ origin }: Pick<Way, 'origin'>, digest: string): string {
    const name = new URL(origin.origin).host;
    return `http://127.0.0.1:${PORTS.registry}${pathOf(digest)}?ns=${name}`;
  }

  /** The URL of a blob at a server that has the paths of the registry. */
  at({ origin }: Nginx, digest: string): string {
    return `${origin}${pathOf(digest)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

function pathOf(digest: string): string {
  return `/v2/${REPOSITORY}/blobs/${digest}`;
}

/** Its files, for the address of the host. */
async function makeCertificate(host: Host): Promise<{ cert: string; key: string }> {
  const [cert, key] = [join(host.directory, 'tls.crt'), join(host.directory, 'tls.key')];
  await host.execute([
    ...([
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
    ] as const),
    ...['-nodes', '-days', '2', '-subj', '/CN=registry', '-addext'],
    ...[`subjectAltName=IP:${host.address}`, '-keyout', key, '-out', cert],
  ]);
  return { cert, key };
}

async function startAgent(
  host: Host,
  first: Host,
  {
    ways,
    throttled,
    ca,
    nodeFlags,
  }: Pick<UpstreamStage, 'ways' | 'throttled'> & {
    readonly ca: string;
    readonly nodeFlags: readonly string[];
  },
): Promise<Child> {
  const registries = join(host.directory, 'registries.yaml');
  const layout = join(host.directory, 'layout');
  await initLayout(layout);
  const secure = ways.filter(({ scheme }) => scheme === 'https');
  const configs = secure.map(
    ({ origin }) => `  "${new URL(origin.origin).host}": { tls: { ca_file: "${ca}" } }\n`,
  );
  const origins = [...ways.map(({ origin }) => origin), throttled];
  const mirrors = origins.map(({ origin }) => `  "${new URL(origin).host}": {}\n`);
  await writeFile(registries, `mirrors:\n${mirrors.join('')}configs:\n${configs.join('')}`);
  const names = origins.map(({ origin }) =>
    origin.startsWith('http:') ? origin : new URL(origin).host,
  );
  return host.start('agent', {
    command: [
      ...[process.execPath, ...nodeFlags, PROGRAM, 'registry'],
      ...['--oci-layout', layout, '--scrub-rate', '0'],
      ...['--data-dir', join(host.directory, 'agent'), '--registries-yaml', registries],
      ...['--upstream', ...names, '--registry-addr', `:${PORTS.registry}`],
      ...['--router-addr', `:${PORTS.router}`, '--metrics-addr', `:${PORTS.metrics}`],
      ...['--bootstrap-kind', 'static'],
      ...['--static-bootstrap-peers', `/ip4/${first.address}/tcp/${PORTS.router}`],
    ] as [string, ...string[]],
    env: agentEnvironment(),
  });
}

async function connected(host: Host, agent: Child, peers: number): Promise<void> {
  await waitFor(
    'the agents know each other',
    async () => {
      if (!agent.isRunning) throw new Error(await agent.logTail());
      const response = await host.fetch(`http://127.0.0.1:${PORTS.metrics}/debug/status`);
      const { directory } = (await response.json()) as { directory: { peers: number } };
      return directory.peers === peers;
    },
    { timeoutMs: 60_000 },
  );
}
