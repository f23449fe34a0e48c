/** A Kubernetes object. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  /** Only in Secrets. */
  readonly stringData?: Readonly<Record<string, string>>;
  /** Only in ConfigMaps and Secrets. */
  readonly data?: Readonly<Record<string, string>>;
  /** Only in ClusterRoles. */
  readonly rules?: readonly unknown[];
  /** Only in ClusterRoleBindings. */
  readonly subjects?: readonly unknown[];
  /** The kind decides which of these types it has. */
  readonly spec: ServiceSpec & WorkloadSpec & PodSpec;
}

interface ServiceSpec {
  readonly type?: string;
  readonly clusterIP?: string;
  readonly ipFamilies?: readonly string[];
  readonly ipFamilyPolicy?: string;
  readonly publishNotReadyAddresses?: boolean;
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly Readonly<Record<string, unknown>>[];
}

/** The specification of a DaemonSet or Job. */
interface WorkloadSpec {
  /** Only in Jobs. */
  readonly activeDeadlineSeconds?: number;
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: PodSpec;
  };
}

/** The fields of a container that the tests check. */
export interface Container {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: unknown;
  }[];
  readonly ports?: readonly Readonly<Record<string, unknown>>[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
}

/** The specification of a pod. */
interface PodSpec {
  readonly automountServiceAccountToken?: boolean;
  readonly hostNetwork?: boolean;
  readonly dnsPolicy?: string;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly [Container, ...Container[]];
  readonly serviceAccountName?: string;
  readonly volumes?: readonly { readonly name: string; readonly secret?: unknown }[];
  readonly nodeSelector?: unknown;
  readonly affinity?: unknown;
  readonly tolerations?: unknown;
  readonly imagePullSecrets?: unknown;
}

/** The pod specifications of all Pods, DaemonSets and Jobs. */
export function podSpecs(manifests: readonly Manifest[]): {
  readonly kind: string;
  readonly manifest: Manifest;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}[] {
  return manifests.flatMap((manifest) => {
    const { kind, metadata, spec } = manifest;
    if (kind === 'Pod') return [{ kind, manifest, labels: metadata.labels ?? {}, spec }];
    if (kind !== 'DaemonSet' && kind !== 'Job') return [];
    const { template } = spec;
    return [{ kind, manifest, labels: template.metadata.labels, spec: template.spec }];
  });
}

/** Splits an argument into flag and value. `raw` is the text of the manifest; in `value` Kubernetes has expanded variables. */
export function splitFlag(arg: string): {
  readonly flag: string;
  readonly raw: string;
  readonly value: string;
} {
  const [, flag = '', raw = ''] = /^--([a-z-]+)=(.*)$/s.exec(arg) ?? [];
  const value = raw.replaceAll(/\[\$\(NODE_IP\)\]|\$\$\(|\$\(\w+\)/g, (found) => {
    if (found === '$$(') return '$(';
    return found.startsWith('[') ? '[2001:db8::1]' : '192.0.2.1';
  });
  return { flag, raw, value };
}
