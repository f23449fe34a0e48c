import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { RequestInit, Response } from 'undici';

import { agentEnvironment, PORTS } from './agent-process.ts';
import type { ContainerdNode } from './containerd-node.ts';
import { Pod, type ContainerSpec, type MountSpec, type PodContainer } from './pod.ts';
import { waitFor } from './wait.ts';

/** How an agent is run in a pod. */
export interface PodAgentInit {
  readonly node: ContainerdNode;
  /** Its image, which must be on the node. */
  readonly image: string;
  /** Addresses of the nodes whose agents are its bootstrap peers. */
  readonly peers: readonly string[];
}

/** Where the agent keeps what is to survive it. */
const DATA = '/var/lib/peerglass';
/** Where it finds the swarm key. */
const SWARM_KEY = '/etc/peerglass/swarm.key';

/**
 * The agent of a node as a pod on the network of the node: root, for containerd's socket, but without any capability,
 * on a root filesystem that cannot be written, under the runtime's seccomp profile.
 */
export class PodAgent implements AsyncDisposable {
  readonly node: ContainerdNode;
  readonly container: PodContainer;
  readonly #pod: Pod;

  private constructor(pod: Pod, container: PodContainer) {
    this.node = pod.node;
    this.container = container;
    this.#pod = pod;
  }

  /** Starts the pod without waiting for the agent to be ready. */
  static async run(init: PodAgentInit): Promise<PodAgent> {
    const data = join(init.node.host.directory, 'agent');
    await mkdir(data, { recursive: true });
    const pod = await Pod.run(init.node, { name: 'peerglass', hostNetwork: true });
    try {
      return new PodAgent(pod, await pod.start(agentContainer(init, data)));
    } catch (error) {
      await pod[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Resolves once `/readyz` answers 200. */
  async ready(): Promise<void> {
    const what = `the pod on ${this.node.host.name} is ready`;
    await waitFor(what, async () => {
      const response = await this.node.host.fetch(`http://127.0.0.1:${PORTS.metrics}/readyz`);
      await response.body?.cancel();
      return response.status === 200;
    }).catch(async (error: unknown) => {
      throw new Error(`${what}: no\n${await this.container.logs()}`, { cause: error });
    });
  }

  /** Asks the mirror as the node's containerd does: from the node itself, over loopback. */
  fetch(path: string, init?: RequestInit): Promise<Response> {
    return this.node.host.fetch(`http://127.0.0.1:${PORTS.registry}${path}`, init);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pod[Symbol.asyncDispose]();
  }
}

function agentContainer({ node, image, peers }: PodAgentInit, data: string): ContainerSpec {
  const bootstrap = peers.map((address) => `/ip4/${address}/tcp/${PORTS.router}`);
  const readonly = (path: string): MountSpec => ({
    hostPath: path,
    containerPath: path,
    readonly: true,
  });
  return {
    name: 'registry',
    image,
    args: [
      ...['registry', '--log-level', 'DEBUG'],
      ...['--containerd-sock', node.socket, '--containerd-content-path', node.contentPath],
      ...['--data-dir', DATA, '--bootstrap-kind', 'static', '--swarm-key-file', SWARM_KEY],
      ...bootstrap.flatMap((address) => ['--static-bootstrap-peers', address]),
    ],
    mounts: [
      // Its folder: a restarted daemon makes another socket, and one that is mounted itself stays the old one.
      readonly(dirname(node.socket)),
      readonly(node.contentPath),
      { hostPath: data, containerPath: DATA },
      { hostPath: agentEnvironment().SWARM_KEY_FILE, containerPath: SWARM_KEY, readonly: true },
    ],
    security: {
      runAsUser: 0,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: 'RuntimeDefault',
    },
    memoryLimitBytes: 256 << 20,
  };
}
