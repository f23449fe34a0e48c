import { mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { retry } from '../../scripts/system/command.ts';
import { execute } from './child.ts';

/** Debian packages that the e2e tests need. */
const PACKAGES = ['containerd', 'runc', 'docker-registry', 'nginx-light', 'iproute2'];

const QUIET = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
const APT_TIMEOUT_MS = 600_000;
/** Two files of tests run at a time, and each may install what it needs: the second one waits, in seconds. */
export const WAIT_FOR_DPKG = ['-o', 'DPkg::Lock::Timeout=300'] as const;

/** Which of the packages are not installed. */
export async function missingPackages(names: readonly string[] = PACKAGES): Promise<string[]> {
  const missing: string[] = [];
  for (const name of names) {
    const query = ['dpkg-query', '-W', '-f=${db:Status-Status}', name] as const;
    const status = await execute(query).catch(() => '');
    if (status !== 'installed') missing.push(name);
  }
  return missing;
}

/** Installs missing packages from the Debian release of the machine. Updates the package lists only when needed. */
export async function installPackages(names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const words = ['install', '-y', '-q', '--no-install-recommends', ...names];
  const install = ['apt-get', ...WAIT_FOR_DPKG, ...words] as const;
  const options = { env: QUIET, timeoutMs: APT_TIMEOUT_MS };
  try {
    await execute(install, options);
  } catch {
    await retry(() => execute(['apt-get', 'update', '-q'], options));
    await retry(() => execute(install, options));
  }
}

/** Runs `work` while no other process on the machine does so under the same lock file. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = await readFile(path, 'utf8').catch(() => '');
    const isDead = owner !== '' && !(await exists(`/proc/${owner}`));
    if (isDead) await rm(path, { force: true });
    else await sleep(200);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
