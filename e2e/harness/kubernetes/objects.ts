import { checkShape, type Shape } from './shape.ts';

/** Name, namespace, labels and annotations of an object. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A probe of a container; times in seconds. */
export interface ProbeSpec {
  readonly httpGet?: { readonly path?: string; readonly port: number | string };
  readonly exec?: { readonly command: readonly string[] };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly successThreshold?: number;
  readonly failureThreshold?: number;
}

/** A variable: a value, or something of the pod's own (the downward API). */
export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

/** A port, by number and by the name that probes and Services use. */
export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly hostPort?: number;
  readonly hostIP?: string;
  readonly protocol?: string;
}

/** Where a volume is seen in a container. */
interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

/** The security context of a pod, and of a container, which wins. */
export interface SecurityContext {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly fsGroup?: number;
  readonly readOnlyRootFilesystem?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly privileged?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly seccompProfile?: { readonly type: string };
}

/** A container of a pod. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly ContainerPort[];
  readonly startupProbe?: ProbeSpec;
  readonly readinessProbe?: ProbeSpec;
  readonly livenessProbe?: ProbeSpec;
  readonly resources?: { readonly limits?: { readonly memory?: string | number } };
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly VolumeMount[];
}

/** A volume of a pod. */
export interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string; readonly type?: string };
  readonly emptyDir?: unknown;
  readonly secret?: { readonly secretName: string; readonly defaultMode?: number };
  readonly configMap?: { readonly name: string };
}

/** What a pod is. */
export interface PodSpec {
  readonly restartPolicy?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly priorityClassName?: string;
  readonly terminationGracePeriodSeconds?: number;
  readonly hostNetwork?: boolean;
  readonly dnsPolicy?: string;
  readonly securityContext?: SecurityContext;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly affinity?: {
    readonly nodeAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: {
        readonly nodeSelectorTerms: readonly {
          readonly matchExpressions?: readonly {
            readonly key: string;
            readonly operator: string;
            readonly values?: readonly string[];
          }[];
        }[];
      };
    };
  };
}

/** A pod, or the template of one. */
export interface PodTemplate {
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec: PodSpec;
}

const PROBE: Shape = {
  httpGet: { path: true, port: true },
  exec: { command: true },
  initialDelaySeconds: true,
  periodSeconds: true,
  timeoutSeconds: true,
  successThreshold: true,
  failureThreshold: true,
};

const CONTAINER: Shape = {
  name: true,
  image: true,
  imagePullPolicy: true,
  command: true,
  args: true,
  env: [{ name: true, value: true, valueFrom: { fieldRef: { fieldPath: true } } }],
  ports: [{ name: true, containerPort: true, hostPort: true, hostIP: true, protocol: true }],
  startupProbe: PROBE,
  readinessProbe: PROBE,
  livenessProbe: PROBE,
  // Requests are for the scheduler.
  resources: { limits: { memory: true }, requests: true },
  securityContext: {
    runAsUser: true,
    runAsGroup: true,
    runAsNonRoot: true,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: true,
    privileged: true,
    capabilities: { add: true, drop: true },
    seccompProfile: { type: true },
  },
  volumeMounts: [{ name: true, mountPath: true, readOnly: true }],
};

const EXPRESSION: Shape = { key: true, operator: true, values: true };
const NODE_AFFINITY: Shape = {
  requiredDuringSchedulingIgnoredDuringExecution: {
    nodeSelectorTerms: [{ matchExpressions: [EXPRESSION] }],
  },
};

const POD: Shape = {
  restartPolicy: true,
  // Of no effect without an API server: nothing is mounted for it, see checkPod.
  serviceAccountName: true,
  automountServiceAccountToken: true,
  enableServiceLinks: true,
  // The registry of the tests has no users.
  imagePullSecrets: true,
  priorityClassName: true,
  terminationGracePeriodSeconds: true,
  hostNetwork: true,
  dnsPolicy: true,
  securityContext: {
    runAsUser: true,
    runAsGroup: true,
    runAsNonRoot: true,
    fsGroup: true,
    seccompProfile: { type: true },
  },
  initContainers: [CONTAINER],
  containers: [CONTAINER],
  volumes: [
    {
      name: true,
      hostPath: { path: true, type: true },
      emptyDir: {},
      secret: { secretName: true, defaultMode: true },
      configMap: { name: true },
    },
  ],
  nodeSelector: true,
  affinity: { nodeAffinity: NODE_AFFINITY },
  // The nodes have no taints.
  tolerations: true,
};

/**
 * Refuses a pod with a field that the harness does not implement.
 *
 * @throws Error with the path of the field
 */
export function checkPod(spec: unknown, path: string): asserts spec is PodSpec {
  checkShape(spec, POD, path);
  const { automountServiceAccountToken, enableServiceLinks, restartPolicy } = spec as PodSpec;
  if (restartPolicy === 'OnFailure') throw new Error(`${path}: restartPolicy ${restartPolicy}`);
  if (automountServiceAccountToken !== false) throw new Error(`${path}: there are no tokens here`);
  if (enableServiceLinks !== false) throw new Error(`${path}: there are no service links here`);
}
