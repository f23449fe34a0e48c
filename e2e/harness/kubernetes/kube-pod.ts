import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { CriClient } from '../cri.ts';
import { Pod, type ContainerSpec } from '../pod.ts';
import { commandLine, environment, type PodFacts } from './environment.ts';
import { KeptContainer } from './kept-container.ts';
import type { Machine } from './machine.ts';
import type { Container, PodSpec } from './objects.ts';
import { bytesOf, oomScoreOf, securityOf } from './security.ts';
import { mountsOf, prepareVolumes, type FileSource } from './volumes.ts';

/** What the kubelet knows besides the pod itself. */
export interface KubePodComponents {
  readonly machine: Machine;
  readonly files: FileSource;
  /** Address of the cluster's name server, and what names end with there. */
  readonly dns: { readonly server: string; readonly domain: string };
  /** Called whenever the pod's state may have changed. */
  readonly onChange: () => void;
}

/** A pod that was given to a node. */
export interface KubePodInit {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}

/** Where it is in its life. */
export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

/** Default of Kubernetes, in seconds. */
const GRACE_SECONDS = 30;
const PULL_LIMIT_MS = 60_000;

/** A pod as the kubelet of a node keeps it: from its manifest to the calls over the CRI. */
export class KubePod {
  readonly init: KubePodInit;
  readonly machine: Machine;
  /** Resolves at its end, which for most is that it is deleted; rejects when it could not be started. */
  readonly finished: Promise<void>;
  readonly #components: KubePodComponents;
  readonly #containers: KeptContainer[] = [];
  /** Those and the init containers. */
  readonly #started: KeptContainer[] = [];
  readonly #directory: string;
  #sandbox: Pod | undefined;
  #phase: Phase = 'Pending';
  #address = '';
  #terminating = false;

  constructor(components: KubePodComponents, init: KubePodInit) {
    this.init = init;
    this.machine = components.machine;
    this.#components = components;
    this.#directory = join(components.machine.containerd.host.directory, 'kubelet', randomUUID());
    this.finished = this.#run().catch((error: unknown) => {
      this.#setPhase('Failed');
      throw new Error(`pod ${init.name} on ${this.machine.name}`, { cause: error });
    });
    // A caller that awaits it gets the error, and no caller has to.
    this.finished.catch(() => undefined);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** In the pod network, or that of the node. Empty until it is known. */
  get address(): string {
    return this.#address;
  }

  get terminating(): boolean {
    return this.#terminating;
  }

  get ready(): boolean {
    return (
      this.#phase === 'Running' &&
      !this.#terminating &&
      this.#containers.every(({ ready }) => ready)
    );
  }

  /** A container, not one of the init containers. */
  container(name?: string): KeptContainer {
    const { containers } = this.init.spec;
    const found = this.#containers.find((it) => it.name === (name ?? containers[0]?.name));
    if (found === undefined) throw new Error(`no container ${name ?? ''} in ${this.init.name}`);
    return found;
  }

  /** The logs of all its containers. */
  async logs(): Promise<string> {
    const parts = await Promise.all(
      this.#started.map(async (it) => `${it.name}:\n${await it.logs()}`),
    );
    return parts.join('');
  }

  /** Ends it within its grace, and removes what is left of it. */
  async delete(): Promise<void> {
    this.#terminating = true;
    this.#components.onChange();
    await Promise.all(this.#started.map((it) => it.end()));
    await this.finished.catch(() => undefined);
    await this.#sandbox?.[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #run(): Promise<void> {
    const { spec, name, namespace } = this.init;
    const { machine, dns, files } = this.#components;
    const { host } = machine.containerd;
    await mkdir(this.#directory, { recursive: true });
    const fsGroup = spec.securityContext?.fsGroup;
    const { paths } = machine;
    const directory = this.#directory;
    const volumes = await prepareVolumes(spec.volumes ?? [], { directory, paths, files, fsGroup });
    const hostNetwork = spec.hostNetwork ?? false;
    if (hostNetwork && spec.dnsPolicy !== 'ClusterFirstWithHostNet') {
      throw new Error('the network of the node without the DNS of the cluster');
    }
    const searches = [`${namespace}.svc.${dns.domain}`, `svc.${dns.domain}`, dns.domain];
    const sandbox = await Pod.run(machine.containerd, {
      name,
      namespace,
      hostNetwork,
      dns: { servers: [dns.server], searches, options: ['ndots:5'] },
      ports: spec.containers.flatMap(({ ports = [] }) =>
        ports.map(({ containerPort, hostPort = 0, hostIP = '', protocol = 'TCP' }) => {
          if (protocol !== 'TCP') throw new Error(`port ${containerPort} of ${protocol}`);
          return { containerPort, hostPort, hostIp: hostIP };
        }),
      ),
    });
    this.#sandbox = sandbox;
    this.#address = hostNetwork ? host.address : await sandbox.address();
    const keep = async (container: Container, restarts: boolean): Promise<KeptContainer> => {
      await this.#provideImage(container);
      const kept = new KeptContainer({
        pod: sandbox,
        container,
        address: this.#address,
        request: (attempt) => this.#request(container, volumes, attempt),
        restarts,
        graceSeconds: spec.terminationGracePeriodSeconds ?? GRACE_SECONDS,
        onChange: this.#components.onChange,
      });
      this.#started.push(kept);
      return kept;
    };
    for (const container of spec.initContainers ?? []) {
      const kept = await keep(container, false);
      if (this.#terminating) return;
      const end = await kept.run();
      if (end?.exitCode !== 0) {
        throw new Error(`${container.name} ended with ${end?.exitCode}:\n${await kept.logs()}`);
      }
    }
    for (const container of spec.containers) {
      this.#containers.push(await keep(container, (spec.restartPolicy ?? 'Always') === 'Always'));
    }
    if (this.#terminating) return;
    const ended = Promise.all(this.#containers.map((it) => it.run()));
    await Promise.race([ended, Promise.all(this.#containers.map(({ begun }) => begun))]);
    this.#setPhase('Running');
    const ends = await ended;
    this.#setPhase(ends.every((end) => end?.exitCode === 0) ? 'Succeeded' : 'Failed');
  }

  async #provideImage({ image, imagePullPolicy = 'IfNotPresent' }: Container): Promise<void> {
    const { containerd } = this.machine;
    const isThere = (await containerd.images()).has(image);
    if (imagePullPolicy === 'Never' && !isThere) throw new Error(`${image} is not on the node`);
    if (imagePullPolicy === 'Never' || (imagePullPolicy === 'IfNotPresent' && isThere)) return;
    using cri = new CriClient(containerd.socket);
    await cri.pullImage(image, PULL_LIMIT_MS);
  }

  #request(
    container: Container,
    volumes: ReadonlyMap<string, string>,
    attempt: number,
  ): ContainerSpec {
    const { spec, name, namespace, labels } = this.init;
    const facts: PodFacts = {
      ...{ name, namespace, labels, nodeName: this.machine.name },
      hostIP: this.machine.containerd.host.address,
      podIP: this.#address,
    };
    const env = environment(container.env ?? [], facts);
    const limit = container.resources?.limits?.memory;
    return {
      name: container.name,
      image: container.image,
      ...commandLine(container, env),
      env,
      mounts: mountsOf(container, volumes),
      security: securityOf(container.name, spec.securityContext, container.securityContext),
      ...(limit === undefined ? {} : { memoryLimitBytes: bytesOf(limit) }),
      oomScoreAdj: oomScoreOf(spec.priorityClassName),
      attempt,
    };
  }

  #setPhase(phase: Phase): void {
    this.#phase = phase;
    this.#components.onChange();
  }
}
