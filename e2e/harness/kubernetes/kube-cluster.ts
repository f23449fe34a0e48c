import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ContainerdNode } from '../containerd-node.ts';
import { containerdRelease, type Suite } from '../containerd-versions.ts';
import { installPackages, missingPackages } from '../debian.ts';
import { NameServer } from '../name-server.ts';
import { Network, type Host } from '../namespaces.ts';
import { makePauseImage } from '../pause-image.ts';
import { runDirectory } from '../run.ts';
import { ControlPlane } from './control-plane.ts';
import { HostPaths } from './host-paths.ts';
import type { Machine } from './machine.ts';
import { addPodRoutes, configurePodNetwork } from './pod-network.ts';

/** Packages that the network of pods needs beside containerd. */
const PACKAGES = ['containernetworking-plugins', 'iptables'];

/** Options of {@link KubeCluster}. */
export interface KubeClusterInit {
  readonly suites: readonly Suite[];
  /** Archives of images, brought onto each node. */
  readonly archives: readonly string[];
  /** Labels of every node, beside its own. */
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * A small cluster without Kubernetes: nodes with containerd and a pod network, and for what is not on the nodes a
 * control plane in the process of the test.
 */
export class KubeCluster implements AsyncDisposable {
  readonly network: Network;
  readonly plane: ControlPlane;
  readonly #resources: AsyncDisposableStack;

  private constructor(network: Network, plane: ControlPlane, resources: AsyncDisposableStack) {
    this.network = network;
    this.plane = plane;
    this.#resources = resources;
  }

  static async start(init: KubeClusterInit): Promise<KubeCluster> {
    await installPackages(await missingPackages(PACKAGES));
    await using resources = new AsyncDisposableStack();
    const archives = [...init.archives, await makePauseImage(runDirectory())];
    const network = resources.use(await Network.create());
    const machines: Machine[] = [];
    for (const [index, suite] of init.suites.entries()) {
      const machine = await startMachine(await network.addHost(suite), index, suite, init.labels);
      resources.use(machine.containerd);
      for (const archive of archives) await machine.containerd.importArchive(archive);
      machines.push(machine);
    }
    const nameServer = resources.use(await NameServer.start(await network.addHost('names')));
    const hosts = machines.map(({ containerd }) => containerd.host);
    for (const host of [...hosts, nameServer.host]) await addPodRoutes(host, hosts);
    const plane = await ControlPlane.start({ machines, nameServer });
    // Pods must be gone before the daemon that would remove them.
    resources.defer(() => plane.stop());
    return new KubeCluster(network, plane, resources.move());
  }

  get machines(): readonly Machine[] {
    return this.plane.machines;
  }

  machine(name: string): Machine {
    const found = this.machines.find((it) => it.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Adds a machine that reaches nodes and pods. */
  async addHost(name: string): Promise<Host> {
    const host = await this.network.addHost(name);
    await addPodRoutes(
      host,
      this.machines.map(({ containerd }) => containerd.host),
    );
    return host;
  }

  /** Scenarios follow from each other: what one leaves is what the next one begins with. */
  clear(): Promise<void> {
    return Promise.resolve();
  }

  /** Copies the logs of daemons and pods into the folder. Returns the last lines of the pods. */
  async saveLogs(folder: string): Promise<string> {
    const tails: string[] = [];
    await mkdir(folder, { recursive: true });
    for (const { name, containerd } of this.machines) {
      const file = join(containerd.host.directory, 'containerd.log');
      await copyFile(file, join(folder, `${name}-containerd.log`));
    }
    for (const pod of this.plane.pods) {
      const log = await pod.logs();
      await writeFile(join(folder, `${pod.machine.name}-${pod.init.name}.log`), log);
      tails.push(
        `${pod.init.name} on ${pod.machine.name}:`,
        ...log.trimEnd().split('\n').slice(-8),
      );
    }
    return tails.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function startMachine(
  host: Host,
  index: number,
  suite: Suite,
  labels: Readonly<Record<string, string>> = {},
): Promise<Machine> {
  await configurePodNetwork(host, index);
  const etc = join(host.directory, 'etc');
  const release = await containerdRelease(suite);
  const containerd = await ContainerdNode.start({ host, release, usualPaths: true });
  const rest = join(host.directory, 'rest');
  // Every machine has it.
  await mkdir(join(rest, 'var/lib'), { recursive: true });
  const root = join(host.directory, 'root');
  const run = join(host.directory, 'run');
  return {
    name: suite,
    labels: {
      'kubernetes.io/os': 'linux',
      'topology.kubernetes.io/zone': `zone-${index % 2}`,
      ...labels,
    },
    containerd,
    paths: new HostPaths({
      rest,
      folders: {
        '/etc/containerd': etc,
        '/run/containerd': run,
        '/var/lib/containerd': root,
        // The same chain, where another program made it.
        '/etc/other': etc,
        '/run/other': run,
        '/var/lib/other/content': containerd.contentPath,
      },
    }),
  };
}
