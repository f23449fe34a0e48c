import type { SecuritySpec } from '../pod-security.ts';
import type { SecurityContext } from './objects.ts';

/** The user of an image is unknown before it runs, so the harness requires the manifest to name one. */
function refuseRoot(name: string, { runAsNonRoot, runAsUser }: SecurityContext): void {
  if (runAsNonRoot === true && (runAsUser ?? 0) === 0) {
    throw new Error(`${name}: runAsNonRoot, and the user is root or not named`);
  }
}

/**
 * What the two security contexts come to: the container's own fields win.
 *
 * @throws Error when it would run as root and must not; when a seccomp profile is none that is known
 */
export function securityOf(
  name: string,
  pod: SecurityContext = {},
  container: SecurityContext = {},
): SecuritySpec {
  const merged: SecurityContext = { ...pod, ...container };
  refuseRoot(name, merged);
  const { runAsUser, runAsGroup, fsGroup, seccompProfile } = merged;
  const profile = seccompProfile?.type ?? 'Unconfined';
  if (profile !== 'RuntimeDefault' && profile !== 'Unconfined') {
    throw new Error(`${name}: seccomp profile ${profile}`);
  }
  return {
    ...(runAsUser === undefined ? {} : { runAsUser }),
    ...(runAsGroup === undefined ? {} : { runAsGroup }),
    ...(fsGroup === undefined ? {} : { supplementalGroups: [fsGroup] }),
    readOnlyRootFilesystem: merged.readOnlyRootFilesystem ?? false,
    allowPrivilegeEscalation: merged.allowPrivilegeEscalation ?? true,
    privileged: merged.privileged ?? false,
    capabilities: merged.capabilities ?? {},
    seccompProfile: profile,
  };
}

/** Bytes of a Kubernetes quantity. */
export function bytesOf(quantity: string | number): number {
  const match = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|k|M|G)?$/.exec(String(quantity));
  if (match === null) throw new Error(`${quantity} is no quantity of bytes that the test knows`);
  const [, amount, unit = ''] = match;
  const factors: Readonly<Record<string, number>> = {
    '': 1,
    Ki: 1024,
    Mi: 1024 ** 2,
    Gi: 1024 ** 3,
    k: 1e3,
    M: 1e6,
    G: 1e9,
  };
  return Number(amount) * (factors[unit] ?? NaN);
}

/** The `oom_score_adj` that the kubelet derives from the priority class. */
export function oomScoreOf(priorityClassName: string | undefined): number {
  return priorityClassName === 'system-node-critical' ? -997 : 0;
}
