import {
  LinuxContainerSecurityContext,
  LinuxSandboxSecurityContext,
  NamespaceMode,
  SecurityProfile_ProfileType as ProfileType,
} from '../../proto/generated/cri/runtime/v1/api.ts';

/** The fields of Kubernetes' `securityContext` that the harness implements. */
export interface SecuritySpec {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly supplementalGroups?: readonly number[];
  readonly privileged?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  /** Default true, as in Kubernetes. */
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: {
    readonly add?: readonly string[];
    readonly drop?: readonly string[];
  };
  readonly seccompProfile?: 'RuntimeDefault' | 'Unconfined';
}

/** What the kubelet hides from containers that are not privileged (`procMount: Default`). */
const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** The security of the sandbox, which decides what its containers share. */
export function sandboxSecurity(network: NamespaceMode): LinuxSandboxSecurityContext {
  return LinuxSandboxSecurityContext.create({
    namespaceOptions: namespaces(network),
    seccomp: { profileType: ProfileType.RuntimeDefault },
  });
}

/** A container's security as the kubelet passes it on; without a seccomp profile it is not confined. */
export function containerSecurity(
  spec: SecuritySpec,
  network: NamespaceMode,
): LinuxContainerSecurityContext {
  const { runAsUser, runAsGroup, capabilities, seccompProfile = 'Unconfined' } = spec;
  return LinuxContainerSecurityContext.create({
    namespaceOptions: namespaces(network),
    ...(runAsUser === undefined ? {} : { runAsUser: { value: runAsUser } }),
    ...(runAsGroup === undefined ? {} : { runAsGroup: { value: runAsGroup } }),
    supplementalGroups: [...(spec.supplementalGroups ?? [])],
    privileged: spec.privileged ?? false,
    readonlyRootfs: spec.readOnlyRootFilesystem ?? false,
    noNewPrivs: spec.allowPrivilegeEscalation === false,
    capabilities: {
      addCapabilities: [...(capabilities?.add ?? [])],
      dropCapabilities: [...(capabilities?.drop ?? [])],
    },
    maskedPaths: MASKED_PATHS,
    readonlyPaths: READONLY_PATHS,
    seccomp: { profileType: ProfileType[seccompProfile] },
  });
}

function namespaces(network: NamespaceMode): {
  network: NamespaceMode;
  pid: NamespaceMode;
  ipc: NamespaceMode;
} {
  return { network, pid: NamespaceMode.CONTAINER, ipc: NamespaceMode.POD };
}
