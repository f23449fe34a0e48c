import { stat } from 'node:fs/promises';

import { parseContainerdVersion } from '../../hosts/containerd-version.ts';
import { KNOWN_SOCKETS, otherSocket } from '../../store/containerd/sockets.ts';
import { NoCriError } from '../containerd/cri-client.ts';
import type { Facts } from '../facts.ts';
import { at, textAt } from '../json.ts';
import { CheckSkippedError, failure, ok, skipped, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

const GROUP = 'containerd';

/** Checks of containerd itself: its socket, its version and its CRI plugin. */
export const CONTAINERD_CHECKS: readonly Check<Facts>[] = [
  { id: 'containerd-reachable', group: GROUP, run: reachable },
  { id: 'containerd-version', group: GROUP, run: supportedVersion },
  { id: 'cri-plugin', group: GROUP, run: criPlugin },
  { id: 'agent-socket', group: GROUP, run: agentSocket },
];

async function reachable(facts: Facts): Promise<CheckResult> {
  const { socketPath } = facts;
  const entry = await stat(socketPath).catch((error: unknown) => error);
  if (entry instanceof Error) {
    const code = 'code' in entry ? String(entry.code) : entry.message;
    if (code === 'EACCES')
      return skipped(`${socketPath} is visible to root only; run doctor as root`);
    const reason = code === 'ENOENT' ? 'is not there' : `cannot be looked at (${code})`;
    return failure(
      `the socket ${socketPath} ${reason}`,
      'systemctl start containerd\nor name the socket: --containerd-sock PATH (looked for at ' +
        `${KNOWN_SOCKETS.join(', ')})`,
    );
  }
  try {
    return ok(`containerd ${await facts.version()} answers at ${socketPath}`);
  } catch (error) {
    if (error instanceof CheckSkippedError) throw error;
    return failure(
      `nothing answers at ${socketPath}: ${reasonOf(error)}`,
      'systemctl status containerd; journalctl -u containerd',
    );
  }
}

/** Returns the message of the innermost cause, which is the system's. */
function reasonOf(error: unknown): string {
  let message = '';
  for (let it = error; it instanceof Error; it = it.cause) ({ message } = it);
  return message || String(error);
}

async function supportedVersion(facts: Facts): Promise<CheckResult> {
  await facts.reachable();
  return versionResult(await facts.version());
}

/** Checks the version of containerd: 1.6 to 2.x are supported. */
export function versionResult(version: string): CheckResult {
  const parts = parseContainerdVersion(version);
  if (parts === undefined) {
    return warning(
      `"${version}" is an unknown version of containerd`,
      'it may work; 1.6 to 2.x are supported',
    );
  }
  const [major, minor] = parts;
  if (major === 0 || (major === 1 && minor < 6)) {
    return failure(
      `containerd ${version} is too old: it has no usable hosts.toml or content events`,
      'upgrade containerd to 1.7 or 2.x',
    );
  }
  if (major > 2) {
    return warning(
      `containerd ${version} is newer than what was tested`,
      'look for a newer version of peerglass; 1.6 to 2.x are supported',
    );
  }
  return ok(`containerd ${version} is supported`);
}

async function criPlugin(facts: Facts): Promise<CheckResult> {
  await facts.reachable();
  try {
    await facts.cri();
    return ok('the CRI plugin answers, as the kubelet needs it');
  } catch (error) {
    if (error instanceof NoCriError) {
      return failure(
        'containerd has no CRI plugin: it is disabled, as in the config.toml of Docker, or an error in its configuration kept it from being loaded',
        'remove "cri" from disabled_plugins in config.toml, look for the reason with\nctr plugins ls | grep -i cri; journalctl -u containerd | grep -i cri\nand systemctl restart containerd',
      );
    }
    return failure(
      `the CRI plugin does not answer: ${reasonOf(error)}`,
      'journalctl -u containerd',
    );
  }
}

/** Checks that the agent follows the containerd that is examined. */
async function agentSocket(facts: Facts, signal: AbortSignal): Promise<CheckResult> {
  const status = await facts.status();
  const used = textAt(status, 'settings', 'containerdSock');
  if (used === undefined) return skipped('the agent does not report a socket of containerd');
  const held = at(status, 'store', 'images');
  const isFollowing = at(status, 'store', 'synced') === true && held !== 0;
  if (isFollowing) return ok(`the agent follows the containerd at ${used}`);
  const namespace = textAt(status, 'settings', 'namespace') ?? facts.init.namespace;
  const other = (await isSameFile(used, facts.socketPath)) ? otherSocket(used) : facts.socketPath;
  const count =
    other === undefined ? 0 : await imagesAt(facts, { socket: other, namespace, signal });
  if (other === undefined || count === 0) {
    return ok(`the agent asks the containerd at ${used}, and no other has images`);
  }
  return failure(
    `the agent looks for containerd at ${used} and has no images, but the containerd at ${other} has ${count}`,
    `peerglass registry --containerd-sock ${other}\nwith its --containerd-content-path; in the chart: peerglass.containerdSock, or peerglass.preset for k3s and RKE2`,
  );
}

/** Whether both paths lead to the same socket, as `/run` and `/var/run` do. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  if (one === other) return true;
  try {
    const [a, b] = [await stat(one), await stat(other)];
    return a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false;
  }
}

/** Number of images at a socket; 0 when it does not answer. */
async function imagesAt(
  facts: Facts,
  { socket, namespace, signal }: { socket: string; namespace: string; signal: AbortSignal },
): Promise<number> {
  using containerd = facts.clientOf(namespace, socket);
  return (await containerd.images(signal).catch(() => [])).length;
}
