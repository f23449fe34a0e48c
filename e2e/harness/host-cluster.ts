import { copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Child } from './child.ts';
import { containerdRelease, type Suite } from './containerd-versions.ts';
import { ContainerdNode } from './containerd-node.ts';
import { HostSystem, LAYOUTS } from './host-system.ts';
import type { NodeMirror } from './mirror.ts';
import { Network } from './namespaces.ts';
import { waitFor } from './wait.ts';

/** A `hosts.toml` that the administrator wrote before there was a mirror. */
const BEFORE = `# our own
server = "http://registry.example.test"
`;

/** Hosts on which nothing is installed, each with a containerd of its own and with the files of its administrator. */
export class HostCluster implements AsyncDisposable {
  readonly hosts: readonly HostSystem[];
  readonly #resources: AsyncDisposableStack;

  private constructor(hosts: readonly HostSystem[], resources: AsyncDisposableStack) {
    this.hosts = hosts;
    this.#resources = resources;
  }

  static async start(
    specs: readonly { readonly suite: Suite; readonly layout: keyof typeof LAYOUTS }[],
  ): Promise<HostCluster> {
    await using resources = new AsyncDisposableStack();
    const network = resources.use(await Network.create());
    const hosts: HostSystem[] = [];
    for (const { suite, layout } of specs) {
      const host = await network.addHost(suite);
      const release = await containerdRelease(suite);
      const node = resources.use(await ContainerdNode.start({ host, release }));
      await layOut(node);
      hosts.push(await HostSystem.start(node, LAYOUTS[layout]));
    }
    return new HostCluster(hosts, resources.move());
  }

  async clear(): Promise<void> {
    await Promise.all(this.hosts.map(({ node }) => node.removeImage()));
  }

  /** Copies the logs of daemons and agents into the folder. Returns the last lines of the agents. */
  async saveLogs(folder: string): Promise<string> {
    await mkdir(folder, { recursive: true });
    const tails: string[] = [];
    for (const { node } of this.hosts) {
      const { directory, name } = node.host;
      for (const log of ['containerd.log', 'agent.log', 'system.log']) {
        const file = join(directory, log);
        if (existsSync(file)) await copyFile(file, join(folder, `${name}-${log}`));
      }
      const log = await readFile(join(directory, 'agent.log'), 'utf8').catch(() => 'no agent');
      tails.push(`agent on ${name}:`, ...log.trimEnd().split('\n').slice(-8));
    }
    return tails.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** The agent of a host as its containerd reaches it. */
export function mirrorOf({ node }: HostSystem): NodeMirror {
  return {
    node,
    fetch: (path, init) => node.host.fetch(`http://127.0.0.1:5002${path}`, init),
  };
}

/** Resolves once the agent of the host is ready. */
export async function untilReady({ node }: HostSystem, agent: Child): Promise<void> {
  await waitFor(`the agent on ${node.host.name} is ready`, async () => {
    if (!agent.isRunning) throw new Error('it has ended');
    return (await node.host.fetch('http://127.0.0.1:9090/readyz')).status === 200;
  }).catch(async (error: unknown) => {
    throw new Error(`not ready:\n${await agent.logTail()}`, { cause: error });
  });
}

/** Folders as distributions have them, which the test's containerd has otherwise. */
async function layOut({ host, certsDir }: ContainerdNode): Promise<void> {
  // What is configured goes through the agent only when the agent has configured it.
  await rm(certsDir, { recursive: true });
  const etc = join(host.directory, 'etc');
  await mkdir(join(etc, 'certs.d/_default'), { recursive: true });
  await writeFile(join(etc, 'certs.d/_default/hosts.toml'), BEFORE);
  await symlink('etc/certs.d', `${certsDir}.new`);
  await rename(`${certsDir}.new`, certsDir);
}
