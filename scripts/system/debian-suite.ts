import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { retry, runCommand } from './command.ts';

/** A Debian suite, which may differ from the release and the architecture of this machine. */
export interface SuiteInit {
  /** Code name, `trixie`. */
  readonly suite: string;
  /** Debian's name of the architecture. Default: that of this machine. */
  readonly architecture?: string;
  /** Whether to include security updates, if this machine has a mirror of them. Default false. */
  readonly security?: boolean;
  /** Folder for the package lists. It is kept, so that later calls are quick. */
  readonly cache: string;
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const QUIET = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };

/** Code name of the machine's Debian release (`bookworm`), or `undefined` if it does not run Debian. */
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

/**
 * Downloads packages without changing the apt state of the machine, and without root. apt verifies the signature of the
 * archive.
 *
 * @param into an empty folder, created if it is missing
 * @returns the `.deb` files, sorted by name
 */
export async function downloadPackages(
  init: SuiteInit,
  packages: readonly string[],
  into: string,
): Promise<string[]> {
  const { cache } = init;
  for (const folder of [`${cache}/lists/partial`, `${cache}/archives/partial`, into]) {
    await mkdir(folder, { recursive: true });
  }
  const sources = `${cache}/sources.list`;
  await writeFile(sources, await sourcesOf(init));
  const separate = aptOptions(init, sources);
  const options = { env: QUIET, cwd: into };
  await retry(async () => {
    await runCommand(['apt-get', ...separate, 'update', '-q'], options);
    await runCommand(['apt-get', ...separate, 'download', '-q', ...packages], options);
  });
  const names = (await readdir(into)).filter((name) => name.endsWith('.deb'));
  return names.sort().map((name) => join(into, name));
}

/** Unpacks packages into a folder without installing them. */
export async function unpackPackages(debs: readonly string[], into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  for (const deb of debs) await runCommand(['dpkg-deb', '-x', deb, into]);
}

async function sourcesOf({ suite, security = false }: SuiteInit): Promise<string> {
  const codename = (await debianCodename()) ?? suite;
  const mirrors = await debianMirrors(codename);
  const line = (mirror: string, name: string): string =>
    `deb [signed-by=${KEYRING}] ${mirror} ${name} main\n`;
  const updates = security ? mirrors.get(`${codename}-security`) : undefined;
  return (
    line(mirrors.get(codename) ?? '', suite) +
    (updates === undefined ? '' : line(updates, `${suite}-security`))
  );
}

/** Base URIs of the mirrors that this machine uses for its own release, by code name, as apt reports them. */
async function debianMirrors(codename: string): Promise<Map<string, string>> {
  const command = ['apt-get', 'indextargets', '--format', '$(CODENAME) $(REPO_URI)'] as const;
  const query = async (): Promise<Map<string, string>> => {
    const lines = (await runCommand([...command, 'Created-By: Packages'])).split('\n');
    return new Map(
      lines.map((line) => {
        const [name = '', uri = ''] = line.split(' ');
        return [name, uri];
      }),
    );
  };
  const known = await query();
  if (known.has(codename)) return known;
  // apt lists only targets that it has fetched, and container images of Debian contain none.
  await retry(() => runCommand(['apt-get', 'update', '-q'], { env: QUIET }));
  const found = await query();
  if (!found.has(codename)) throw new Error(`apt has no source for ${codename}`);
  return found;
}

function aptOptions({ architecture, cache }: SuiteInit, sources: string): string[] {
  const settings = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::Lists=${cache}/lists`,
    'Dir::State::status=/dev/null',
    `Dir::Cache=${cache}`,
    'Acquire::Languages=none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
    // The cache is in the repository, which apt's own user may not be able to read.
    'APT::Sandbox::User=root',
  ];
  if (architecture !== undefined) {
    settings.push(`APT::Architecture=${architecture}`, `APT::Architectures=${architecture}`);
  }
  return settings.flatMap((setting) => ['-o', setting]);
}
