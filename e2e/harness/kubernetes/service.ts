import type { KubePod } from './kube-pod.ts';
import type { Machine } from './machine.ts';
import type { ObjectMeta } from './objects.ts';
import { checkShape, type Shape } from './shape.ts';

/** A Service, as it was rendered. */
export interface ServiceManifest {
  readonly metadata: ObjectMeta;
  readonly spec: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly selector: Readonly<Record<string, string>>;
    readonly publishNotReadyAddresses?: boolean;
    readonly internalTrafficPolicy?: string;
    readonly trafficDistribution?: string;
    readonly ports: readonly {
      readonly name: string;
      readonly port: number;
      readonly targetPort: number | string;
      readonly nodePort?: number;
      readonly protocol?: string;
    }[];
  };
}

const SERVICE: Shape = {
  type: true,
  clusterIP: true,
  selector: true,
  publishNotReadyAddresses: true,
  internalTrafficPolicy: true,
  trafficDistribution: true,
  ports: [{ name: true, port: true, targetPort: true, nodePort: true, protocol: true }],
  // The network of the tests has IPv4 only.
  ipFamilyPolicy: true,
  ipFamilies: true,
};

/** A Service of the cluster, with its address; none when it is headless. */
export class Service {
  readonly manifest: ServiceManifest;
  readonly address: string | undefined;

  /** @throws Error for a field that the harness does not implement */
  constructor(manifest: ServiceManifest, address: string) {
    checkShape(manifest.spec, SERVICE, `Service ${manifest.metadata.name}`);
    this.manifest = manifest;
    this.address = manifest.spec.clusterIP === 'None' ? undefined : address;
  }

  /** The pods behind it: the ready ones, or all with an address when its spec has `publishNotReadyAddresses`. */
  endpoints(pods: Iterable<KubePod>): KubePod[] {
    const { metadata, spec } = this.manifest;
    return [...pods].filter(
      ({ init, ready, address }) =>
        init.namespace === metadata.namespace &&
        address !== '' &&
        (ready || spec.publishNotReadyAddresses === true) &&
        isSelected(spec.selector, init.labels),
    );
  }

  /** Those of them that a node sends to what comes by the address, or by the node port. */
  endpointsFrom(machine: Machine, pods: Iterable<KubePod>, by: 'address' | 'node port'): KubePod[] {
    const { internalTrafficPolicy, trafficDistribution } = this.manifest.spec;
    const all = this.endpoints(pods);
    const own = all.filter((pod) => pod.machine === machine);
    if (by === 'address' && internalTrafficPolicy === 'Local') return own;
    return trafficDistribution === 'PreferSameNode' && own.length > 0 ? own : all;
  }

  /** Its addresses in the DNS. */
  addresses(pods: Iterable<KubePod>): string[] {
    if (this.address !== undefined) return [this.address];
    return this.endpoints(pods).map(({ address }) => address);
  }
}

/** Whether the labels have all of the selector's. */
export function isSelected(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}
