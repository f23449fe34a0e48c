import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { debianCodename } from '../../scripts/system/debian-suite.ts';
import { execute } from './child.ts';
import { installPackages, missingPackages } from './debian.ts';
import { allContainerdReleases, type ContainerdRelease } from './containerd-versions.ts';

/** Whether the machine can run the e2e tests. */
export type Preflight =
  | { readonly ok: true; readonly releases: readonly ContainerdRelease[] }
  | { readonly ok: false; readonly reason: string };

/**
 * Decides whether real containerd nodes can run here, and installs what they need: Debian packages and the containerd
 * versions.
 *
 * @throws Error on a machine that could run them, when the installation fails
 */
export async function preflight(): Promise<Preflight> {
  if (process.platform !== 'linux') return { ok: false, reason: 'this is not Linux' };
  if (process.getuid?.() !== 0) return { ok: false, reason: 'not root' };
  const codename = await debianCodename();
  if (codename === undefined) {
    return { ok: false, reason: 'not Debian, whose packages containerd comes from' };
  }
  await installPackages(await missingPackages());
  const probe = `pge2e-probe-${process.pid}`;
  try {
    await execute(['ip', 'netns', 'add', probe]);
    await execute(['nsenter', `--net=/run/netns/${probe}`, 'true']);
  } catch {
    return { ok: false, reason: 'network namespaces cannot be made here' };
  } finally {
    await execute(['ip', 'netns', 'delete', probe]).catch(() => '');
  }
  if (!(await canMountOverlay())) return { ok: false, reason: 'overlayfs cannot be mounted here' };
  return { ok: true, releases: await allContainerdReleases() };
}

async function canMountOverlay(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'pge2e-probe-'));
  try {
    await execute(['mount', '-t', 'overlay', 'overlay', '-o', 'lowerdir=/etc:/usr', folder]);
    await execute(['umount', folder]);
    return true;
  } catch {
    return false;
  } finally {
    await rmdir(folder);
  }
}
