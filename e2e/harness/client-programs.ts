import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import {
  debianCodename,
  downloadPackages,
  unpackPackages,
} from '../../scripts/system/debian-suite.ts';
import { retry } from '../../scripts/system/command.ts';
import { execute } from './child.ts';
import { withLock, WAIT_FOR_DPKG } from './debian.ts';

const CACHE = fileURLToPath(new URL('../../.e2e-cache/', import.meta.url));
const QUIET = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };

/** Programs that pull images, with the package of this machine's release that has them. */
const PACKAGES = {
  podman: { package: 'podman', path: 'usr/bin/podman' },
  skopeo: { package: 'skopeo', path: 'usr/bin/skopeo' },
  dockerd: { package: 'docker.io', path: 'usr/sbin/dockerd' },
} as const;
/** Where crane is from: older suites do not have it, and it needs only a C library of 2021. */
const CRANE = { suite: 'forky', package: 'crane', path: 'usr/bin/crane' } as const;

/** The name of a client. */
export type ClientName = keyof typeof PACKAGES | 'crane';

/** Programs that are there, unpacked and not installed: no service of them starts, and nothing of the machine changes. */
export interface ClientPrograms {
  /** Paths; absent where it cannot be had. */
  readonly paths: ReadonlyMap<ClientName, string>;
  /** Where they find their libraries and helpers. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  /** Why programs are absent. */
  readonly missing: ReadonlyMap<ClientName, string>;
}

/** Fetches the clients once, and unpacks them below `.e2e-cache/`. */
export async function clientPrograms(): Promise<ClientPrograms> {
  const codename = (await debianCodename()) ?? 'none';
  const root = join(CACHE, `clients-${codename}`);
  const paths = new Map<ClientName, string>();
  const missing = new Map<ClientName, string>();
  const names = Object.keys(PACKAGES) as (keyof typeof PACKAGES)[];
  await onceInto(root, (folder) => unpackOfMachine(names, folder));
  for (const name of names) {
    const path = join(root, PACKAGES[name].path);
    const own = join('/', PACKAGES[name].path);
    const found = (await exists(path)) ? path : own;
    if (await exists(found)) paths.set(name, found);
    else missing.set(name, `Debian ${codename} has no ${PACKAGES[name].package}`);
  }
  const folder = join(CACHE, `crane-${CRANE.suite}`);
  try {
    await onceInto(folder, unpackCrane);
    paths.set('crane', join(folder, CRANE.path));
  } catch (error) {
    missing.set('crane', `not to be had from ${CRANE.suite}: ${String(error)}`);
  }
  const places: string[] = [];
  for (const lib of [join(root, 'usr/lib'), join(root, 'lib')]) {
    const names = await readdir(lib).catch(() => []);
    places.push(...names.filter((it) => it.endsWith('-gnu')).map((it) => join(lib, it)));
  }
  return { paths, root, env: { LD_LIBRARY_PATH: places.join(':') }, missing };
}

/** Downloads what apt would install, without what is recommended beside it, and unpacks it. Unknown packages are left out. */
async function unpackOfMachine(
  names: readonly (keyof typeof PACKAGES)[],
  folder: string,
): Promise<void> {
  const options = { env: QUIET, timeoutMs: 300_000 };
  const debs = `${folder}.debs`;
  await mkdir(join(debs, 'partial'), { recursive: true });
  const words = [
    ...['--no-install-recommends', '--download-only', '-o', `Dir::Cache::archives=${debs}`],
    // It neither reads nor changes what another apt is installing.
    ...['-o', 'Debug::NoLocking=true', '-o', 'APT::Sandbox::User=root'],
  ];
  const update = (): Promise<string> => retry(() => execute(['apt-get', 'update', '-q'], options));
  let known = await knownToApt(names);
  if (known.length < names.length) {
    await update();
    known = await knownToApt(names);
  }
  const get = ['apt-get', ...WAIT_FOR_DPKG, 'install', '-y', '-q', ...words, ...known] as const;
  await execute(get, options).catch(async () => {
    await update();
    await retry(() => execute(get, options));
  });
  const files = (await readdir(debs)).filter((name) => name.endsWith('.deb'));
  await mkdir(join(folder, 'usr/lib'), { recursive: true });
  await unpackPackages(
    files.map((name) => join(debs, name)),
    folder,
  );
  await rm(debs, { recursive: true, force: true });
}

async function knownToApt(names: readonly (keyof typeof PACKAGES)[]): Promise<string[]> {
  const known: string[] = [];
  for (const name of names) {
    const found = await execute(['apt-cache', 'show', PACKAGES[name].package]).catch(() => '');
    if (found !== '') known.push(PACKAGES[name].package);
  }
  return known;
}

async function unpackCrane(folder: string): Promise<void> {
  const cache = `${folder}.apt`;
  const { suite } = CRANE;
  const debs = await downloadPackages({ suite, cache }, [CRANE.package], `${cache}/debs`);
  await unpackPackages(debs, folder);
  await rm(cache, { recursive: true, force: true });
  // It runs with the C library of this machine, or not at all.
  await execute([join(folder, CRANE.path), '--help']);
}

/** Makes a folder, whole or not at all, if it is not there. */
async function onceInto(folder: string, make: (folder: string) => Promise<void>): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  await withLock(`${folder}.lock`, async () => {
    if (await exists(folder)) return;
    const incoming = `${folder}.${process.pid}`;
    await make(incoming);
    await rename(incoming, folder);
  });
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
