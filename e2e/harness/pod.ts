import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import {
  ContainerConfig,
  ContainerState,
  type ContainerStatus,
  type DNSConfig,
  Mount,
  NamespaceMode,
  PodSandboxConfig,
  PortMapping,
} from '../../proto/generated/cri/runtime/v1/api.ts';
import type { ContainerdNode } from './containerd-node.ts';
import { CriClient } from './cri.ts';
import { containerSecurity, sandboxSecurity, type SecuritySpec } from './pod-security.ts';
import { runName } from './run.ts';

/** A folder or file of the node in a container, from `hostPath` and `volumeMounts` together. */
export type MountSpec = Pick<Mount, 'hostPath' | 'containerPath'> &
  Partial<Pick<Mount, 'readonly' | 'propagation'>>;

/** A container, in the words of Kubernetes. */
export interface ContainerSpec {
  readonly name: string;
  /** Must be on the node. */
  readonly image: string;
  /** In the place of the image's entrypoint. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly mounts?: readonly MountSpec[];
  readonly security?: SecuritySpec;
  readonly memoryLimitBytes?: number;
  /** Below zero: killed late. Default 0. */
  readonly oomScoreAdj?: number;
  /** How often it was started before in this pod. Default 0. */
  readonly attempt?: number;
}

/** A pod. */
export interface PodSpec {
  readonly name: string;
  /** Default `default`. */
  readonly namespace?: string;
  /** On the network of the node, or (default) on one of its own, which needs CNI's configuration. */
  readonly hostNetwork?: boolean;
  /** Beside the container's port, the one of the node that leads to it, on all of its addresses or on this one. */
  readonly ports?: readonly PortSpec[];
  /** What is in its `/etc/resolv.conf`. Default: what the machine has. */
  readonly dns?: DNSConfig;
}

type PortSpec = Pick<PortMapping, 'containerPort' | 'hostPort'> &
  Partial<Pick<PortMapping, 'hostIp'>>;

/** A container of a {@link Pod}. */
export class PodContainer {
  readonly id: string;
  readonly spec: ContainerSpec;
  readonly #cri: CriClient;
  readonly #logFile: string;

  constructor(cri: CriClient, init: { id: string; spec: ContainerSpec; logFile: string }) {
    this.#cri = cri;
    this.id = init.id;
    this.spec = init.spec;
    this.#logFile = init.logFile;
  }

  /** Its status from the runtime. */
  async status(): Promise<ContainerStatus> {
    const { status } = await this.#cri.containerStatus(this.id);
    if (status === undefined) throw new Error(`no status of ${this.spec.name}`);
    return status;
  }

  async isRunning(): Promise<boolean> {
    return (await this.status()).state === ContainerState.CONTAINER_RUNNING;
  }

  /** Its process, as the node sees it. */
  async pid(): Promise<number> {
    const { info } = await this.#cri.containerStatus(this.id);
    return (JSON.parse(info['info'] ?? '{}') as { pid?: number }).pid ?? 0;
  }

  /** Runs a command in it to its end. Rejects with its output when it fails. */
  exec(...command: string[]): Promise<string> {
    return this.execWithin(undefined, command);
  }

  /** The same, with a limit in seconds. */
  async execWithin(seconds: number | undefined, command: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.#cri.execSync(this.id, [...command], seconds);
    if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${exitCode} ${stderr.toString()}`);
    return stdout.toString();
  }

  /** As the kubelet does it, with this grace in seconds; the container stays until the pod is removed. */
  async stop(graceSeconds: number): Promise<ContainerStatus> {
    await this.#cri.stopContainer(this.id, graceSeconds);
    return this.status();
  }

  /** Its log, without the prefix that the runtime puts before each line. */
  async logs(): Promise<string> {
    const text = await readFile(this.#logFile, 'utf8').catch(() => '');
    return text.replaceAll(/^\S+ (?:stdout|stderr) [FP] /gm, '');
  }
}

/** A pod on a node, made by the same CRI calls that a kubelet makes. */
export class Pod implements AsyncDisposable {
  readonly node: ContainerdNode;
  readonly #cri: CriClient;
  readonly #id: string;
  readonly #config: PodSandboxConfig;

  private constructor(node: ContainerdNode, cri: CriClient, id: string, config: PodSandboxConfig) {
    this.node = node;
    this.#cri = cri;
    this.#id = id;
    this.#config = config;
  }

  /** Starts the sandbox; its image must be on the node, see makePauseImage. */
  static async run(node: ContainerdNode, spec: PodSpec): Promise<Pod> {
    const uid = randomUUID();
    const logDirectory = join(node.host.directory, 'pods', `${spec.name}_${uid}`);
    await mkdir(logDirectory, { recursive: true });
    const network = spec.hostNetwork === true ? NamespaceMode.NODE : NamespaceMode.POD;
    const config = PodSandboxConfig.create({
      metadata: { name: spec.name, uid, namespace: spec.namespace ?? 'default' },
      hostname: network === NamespaceMode.NODE ? '' : spec.name,
      logDirectory,
      dnsConfig: spec.dns,
      portMappings: (spec.ports ?? []).map((port) => PortMapping.create(port)),
      linux: {
        // All that a run leaves behind carries its name.
        cgroupParent: `/${runName()}`,
        securityContext: sandboxSecurity(network),
      },
    });
    const cri = new CriClient(node.socket);
    try {
      return new Pod(node, cri, await cri.runPodSandbox(config), config);
    } catch (error) {
      cri[Symbol.dispose]();
      throw error;
    }
  }

  /** Its address in the pod network; empty on the network of the node. */
  address(): Promise<string> {
    return this.#cri.podAddress(this.#id);
  }

  /** Creates and starts a container in it. */
  async start(spec: ContainerSpec): Promise<PodContainer> {
    const logPath = join(spec.name, `${spec.attempt ?? 0}.log`);
    const logFile = join(this.#config.logDirectory, logPath);
    await mkdir(dirname(logFile), { recursive: true });
    const network = this.#config.linux?.securityContext?.namespaceOptions?.network;
    const config = containerConfig(spec, logPath, network ?? NamespaceMode.POD);
    const id = await this.#cri.createContainer(this.#id, config, this.#config);
    await this.#cri.startContainer(id);
    return new PodContainer(this.#cri, { id, spec, logFile });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cri.removePodSandbox(this.#id);
    this.#cri[Symbol.dispose]();
  }
}

function containerConfig(
  spec: ContainerSpec,
  logPath: string,
  network: NamespaceMode,
): ContainerConfig {
  const { name, image, command = [], args = [], env = {}, mounts = [], security = {} } = spec;
  return ContainerConfig.create({
    metadata: { name, attempt: spec.attempt ?? 0 },
    image: { image },
    command: [...command],
    args: [...args],
    envs: Object.entries(env).map(([key, value]) => ({ key, value })),
    mounts: mounts.map((mount) => Mount.create(mount)),
    logPath,
    linux: {
      resources: {
        memoryLimitInBytes: spec.memoryLimitBytes ?? 0,
        oomScoreAdj: spec.oomScoreAdj ?? 0,
      },
      securityContext: containerSecurity(security, network),
    },
  });
}
