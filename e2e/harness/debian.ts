import { mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { execute } from './child.ts';

/** Debian packages that the e2e tests need. */
const PACKAGES = ['containerd', 'runc', 'docker-registry', 'nginx-light', 'iproute2'];

const QUIET = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
const APT_TIMEOUT_MS = 600_000;

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

/** Installs what is missing from the machine's own Debian release; asks its mirror for news only when needed. */
export async function installPackages(names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const install = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...names] as const;
  const options = { env: QUIET, timeoutMs: APT_TIMEOUT_MS };
  try {
    await execute(install, options);
  } catch {
    await retry(() => execute(['apt-get', 'update', '-q'], options));
    await retry(() => execute(install, options));
  }
}

/** Code name of the machine's Debian release (`bookworm`), or `undefined` when it is no Debian. */
export async function debianCodename(): Promise<string | undefined> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const fields = new Map(
    text.split('\n').map((line) => {
      const [key = '', value = ''] = line.split('=', 2);
      return [key, value.replaceAll('"', '')] as const;
    }),
  );
  return fields.get('ID') === 'debian' ? fields.get('VERSION_CODENAME') : undefined;
}

/** Base URI of the Debian mirror that this machine uses for its own release, read through apt itself. */
async function debianMirror(codename: string): Promise<string> {
  const query = ['apt-get', 'indextargets', '--format', '$(CODENAME) $(REPO_URI)'] as const;
  const ask = async (): Promise<string | undefined> => {
    const lines = (await execute([...query, 'Created-By: Packages'])).split('\n');
    return lines.map((line) => line.split(' ')).find(([name]) => name === codename)?.[1];
  };
  const known = await ask();
  if (known !== undefined) return known;
  // apt names only the targets it has fetched, and images of Debian come without any.
  await retry(() =>
    execute(['apt-get', 'update', '-q'], { env: QUIET, timeoutMs: APT_TIMEOUT_MS }),
  );
  const found = await ask();
  if (found === undefined) throw new Error(`apt has no source for ${codename}`);
  return found;
}

/**
 * Fetches packages of another Debian suite without touching the machine's own apt state, and unpacks them
 * into a folder without installing them.
 *
 * @param cache folder for the package lists; kept, so that later calls are quick
 */
export async function unpackFromSuite(init: {
  readonly suite: string;
  readonly packages: readonly string[];
  readonly into: string;
  readonly cache: string;
}): Promise<void> {
  const { suite, packages, into, cache } = init;
  const codename = (await debianCodename()) ?? suite;
  const mirror = await debianMirror(codename);
  await mkdir(`${cache}/lists/partial`, { recursive: true });
  await mkdir(`${cache}/archives/partial`, { recursive: true });
  await mkdir(into, { recursive: true });
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const sources = `${cache}/sources.list`;
  await writeText(sources, `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`);
  const apart = [
    ...['-o', `Dir::Etc::sourcelist=${sources}`, '-o', 'Dir::Etc::sourceparts=/dev/null'],
    ...['-o', `Dir::State::Lists=${cache}/lists`, '-o', 'Dir::State::status=/dev/null'],
    ...['-o', `Dir::Cache=${cache}`, '-o', 'Acquire::Languages=none'],
    ...['-o', 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false'],
    // The cache lies wherever the repository does, where apt's own user may not be able to go.
    ...['-o', 'APT::Sandbox::User=root'],
  ];
  const options = { env: QUIET, timeoutMs: APT_TIMEOUT_MS, cwd: into };
  await retry(async () => {
    await execute(['apt-get', ...apart, 'update', '-q'], options);
    await execute(['apt-get', ...apart, 'download', '-q', ...packages], options);
  });
  await execute(['sh', '-c', 'for deb in *.deb; do dpkg -x "$deb" . && rm "$deb"; done'], options);
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

async function writeText(path: string, text: string): Promise<void> {
  await using file = await open(path, 'w');
  await file.writeFile(text);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Mirrors and networks hiccup: three tries, 2 and 4 seconds apart. */
async function retry<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 3) throw error;
      await sleep(attempt * 2000);
    }
  }
}
