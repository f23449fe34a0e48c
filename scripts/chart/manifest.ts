/** An object of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  /** Of Secrets. */
  readonly stringData?: Readonly<Record<string, string>>;
  /** Of ConfigMaps. */
  readonly data?: Readonly<Record<string, string>>;
  /** Of ClusterRoles. */
  readonly rules?: readonly unknown[];
  /** Of ClusterRoleBindings. */
  readonly subjects?: readonly unknown[];
  /** Which of these it is, the kind says. */
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

/** Of DaemonSets and Jobs. */
interface WorkloadSpec {
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: PodSpec;
  };
}

/** A container, as far as the tests look at it. */
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

/** A pod of some object. */
interface PodSpec {
  readonly automountServiceAccountToken?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly [Container, ...Container[]];
  readonly serviceAccountName?: string;
  readonly volumes?: readonly { readonly name: string }[];
  readonly nodeSelector?: unknown;
  readonly affinity?: unknown;
  readonly tolerations?: unknown;
  readonly imagePullSecrets?: unknown;
}

/** Pods and what makes pods. */
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

/** A flag with its value: as it stands there, and as the agent gets it, by what Kubernetes makes of variables. */
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
