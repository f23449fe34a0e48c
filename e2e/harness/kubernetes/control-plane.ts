import type { NameServer } from '../name-server.ts';
import { DaemonSet, type DaemonSetManifest, type PodPlace } from './daemon-set.ts';
import { KubePod } from './kube-pod.ts';
import type { Machine } from './machine.ts';
import { checkPod, type ObjectMeta, type PodTemplate } from './objects.ts';
import { mayRun } from './scheduling.ts';
import { Service, type ServiceManifest } from './service.ts';
import { serviceAddress, ServiceProxy } from './service-proxy.ts';

/** An object of Kubernetes. */
export interface KubeObject {
  readonly kind: string;
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

/** Options of {@link ControlPlane}. */
export interface ControlPlaneComponents {
  readonly machines: readonly Machine[];
  readonly nameServer: NameServer;
}

/**
 * Kinds that nothing here acts upon: there are no tokens, no operators, and the pod network, as some real ones,
 * knows no policies.
 */
const INERT = new Set([
  'ServiceAccount',
  'Secret',
  'ConfigMap',
  'NetworkPolicy',
  'ServiceMonitor',
  'PodMonitor',
  'PrometheusRule',
  'GrafanaDashboard',
  'VerticalPodAutoscaler',
]);

/** As much of Kubernetes as a chart's objects need to become pods, Services and names. */
export class ControlPlane {
  readonly machines: readonly Machine[];
  /** What names of Services end with, without a dot at its end. */
  domain = 'cluster.local';
  readonly #nameServer: NameServer;
  readonly #proxies: readonly ServiceProxy[];
  readonly #objects = new Map<string, KubeObject>();
  readonly #services = new Map<string, Service>();
  readonly #daemonSets = new Map<string, DaemonSet>();
  readonly #pods = new Set<KubePod>();
  #addresses = 0;
  #stale = false;
  #refreshing: Promise<void> | undefined;

  private constructor(components: ControlPlaneComponents, proxies: readonly ServiceProxy[]) {
    this.machines = components.machines;
    this.#nameServer = components.nameServer;
    this.#proxies = proxies;
  }

  static async start(components: ControlPlaneComponents): Promise<ControlPlane> {
    const proxies = await Promise.all(components.machines.map((it) => ServiceProxy.start(it)));
    return new ControlPlane(components, proxies);
  }

  get pods(): readonly KubePod[] {
    return [...this.#pods];
  }

  daemonSet(name: string): DaemonSet {
    const found = this.#daemonSets.get(name);
    if (found === undefined) throw new Error(`there is no DaemonSet ${name}`);
    return found;
  }

  /** Creates the object, or makes it what it now is. Does not wait for what comes of it. */
  apply(object: KubeObject): void {
    const { kind, metadata } = object;
    const known = this.#objects.has(keyOf(object));
    // `helm template` makes such an object anew. `helm upgrade` looks it up in the cluster, and takes over its data.
    if (known && metadata.annotations?.['helm.sh/resource-policy'] === 'keep') return;
    if (kind === 'Service') {
      const address = this.#services.get(metadata.name)?.address;
      const manifest = object as ServiceManifest;
      const service = new Service(manifest, address ?? serviceAddress(this.#addresses++));
      this.#services.set(metadata.name, service);
      this.#refresh();
    } else if (kind === 'DaemonSet') {
      const manifest = object as DaemonSetManifest;
      if (known) this.daemonSet(metadata.name).update(manifest);
      else this.#daemonSets.set(metadata.name, new DaemonSet(this.#place(), manifest));
    } else if (!INERT.has(kind)) {
      throw new Error(`${kind}: the test's cluster does not know it`);
    }
    this.#objects.set(keyOf(object), object);
  }

  /** Removes the object; resolves when nothing of it is left. */
  async delete(object: KubeObject): Promise<void> {
    const { kind, metadata } = object;
    this.#objects.delete(keyOf(object));
    if (kind === 'Service') this.#services.delete(metadata.name);
    if (kind === 'DaemonSet') await this.daemonSet(metadata.name).delete();
    if (kind === 'DaemonSet') this.#daemonSets.delete(metadata.name);
    this.#refresh();
    await this.#refreshing;
  }

  /**
   * Runs a pod, on this node or any that it may run on.
   *
   * @throws Error when it may run nowhere
   */
  runPod(metadata: ObjectMeta, template: PodTemplate, node?: string): KubePod {
    checkPod(template.spec, `Pod ${metadata.name}`);
    const machine = this.machines.find(
      (it) => mayRun(template.spec, it) && (node === undefined || it.name === node),
    );
    if (machine === undefined) throw new Error(`no node for pod ${metadata.name}`);
    return this.#place().create(machine, metadata.name, metadata, template);
  }

  async removePod(pod: KubePod): Promise<void> {
    await pod.delete();
    this.#pods.delete(pod);
    this.#refresh();
    await this.#refreshing;
  }

  /** Removes all pods. */
  async stop(): Promise<void> {
    await Promise.all([...this.#pods].map((pod) => this.removePod(pod)));
    await this.#refreshing;
  }

  #place(): PodPlace {
    return {
      machines: this.machines,
      create: (machine, name, owner, { metadata, spec }) => {
        const { namespace = 'default' } = owner;
        // As Kubernetes does it from 1.35.
        const topology = Object.entries(machine.labels).filter(([label]) =>
          label.startsWith('topology.kubernetes.io/'),
        );
        const labels = { ...metadata?.labels, ...Object.fromEntries(topology) };
        const pod = new KubePod(
          {
            machine,
            files: (kind, file) => this.#files(kind, file),
            dns: { server: this.#nameServer.host.address, domain: this.domain },
            onChange: () => {
              this.#refresh();
            },
          },
          { name, namespace, labels, spec },
        );
        this.#pods.add(pod);
        return pod;
      },
      remove: (pod) => this.removePod(pod),
    };
  }

  #files(kind: string, name: string): Readonly<Record<string, string>> {
    const object = this.#objects.get(`${kind} ${name}`);
    if (object === undefined) throw new Error(`there is no ${kind} ${name}`);
    if (kind !== 'Secret') return object.data ?? {};
    const decoded = Object.entries(object.data ?? {}).map(([file, text]) => [
      file,
      Buffer.from(text, 'base64').toString(),
    ]);
    return { ...(Object.fromEntries(decoded) as Record<string, string>), ...object.stringData };
  }

  /** Names and Services follow what pods there are. */
  #refresh(): void {
    this.#stale = true;
    this.#refreshing ??= this.#refreshAll().finally(() => {
      this.#refreshing = undefined;
    });
  }

  async #refreshAll(): Promise<void> {
    // What comes in the same turn is one change.
    await Promise.resolve();
    while (this.#stale) {
      this.#stale = false;
      const services = [...this.#services.values()];
      const zone = services.map((service) => [
        `${service.manifest.metadata.name}.${service.manifest.metadata.namespace}.svc.${this.domain}`,
        service.addresses(this.#pods),
      ]);
      await this.#nameServer.serve(Object.fromEntries(zone) as Record<string, string[]>);
      await Promise.all(this.#proxies.map((proxy) => proxy.serve(services, this.pods)));
    }
  }
}

function keyOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${metadata.name}`;
}
