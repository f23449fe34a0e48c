import { isNoMirroredRegistry } from '../hosts/hidden-default.ts';
import { DEFAULT_FOLDER, registryFolders, registryOfFolder } from '../hosts/hosts-toml.ts';
import { provenanceOf } from '../hosts/marker.ts';
import { mirrorPositions, urlOf, type MirrorMark, type RegistryFile } from './certs-folder.ts';
import type { Facts } from './facts.ts';
import { at } from './json.ts';
import { mirrorUrls } from './mirror-urls.ts';

/** Upper bound for the files that a command moves. */
const MAX_MOVED = 20;

/**
 * Returns the command after which containerd asks the mirror first for every registry that is mirrored. The hosts of
 * other files stay after it. One command has to name all registries: `configuration` restores the previous files of
 * every registry that it is not given.
 *
 * @param unusable files that containerd cannot use, to be moved away first
 */
export async function hostsRemedy(
  facts: Facts,
  unusable: readonly RegistryFile[] = [],
): Promise<string> {
  const [files, registries, mark] = await Promise.all([
    facts.files(),
    facts.registries(),
    facts.mirrorMark(),
  ]);
  const named = registriesToName(files, registries, { mark, unusable });
  const moves = unusable
    .slice(0, MAX_MOVED)
    .map(({ path }) => `mv ${shellWord(path)} ${shellWord(`${path}.invalid`)} && `)
    .join('');
  const status = await facts.status().catch(() => undefined);
  if (at(status, 'settings', 'configure') === true) {
    const flags = [...named, '--prepend-existing'].join(' ');
    return `the agent configures containerd itself and would undo a change by hand; restart it with\n${moves}peerglass registry --configure ${flags}\n(values of the chart: peerglass.mirroredRegistries, peerglass.prependExisting)`;
  }
  const urls = await mirrorUrls(facts);
  const keeps = files.some(({ hosts }) => hosts !== undefined);
  const command = [
    'peerglass configuration --mirror-targets',
    ...urls.map(shellWord),
    ...authority(facts, files, { urls, mark }),
    '--containerd-registry-config-path',
    shellWord(facts.certsFolder),
    ...named,
    ...(keeps ? ['--prepend-existing'] : []),
  ];
  return `${moves}${command.join(' ')}`;
}

/** Whether containerd uses the folder instead of `_default`, and does not find the mirror first there. */
export function lacksMirror(file: RegistryFile, mark: MirrorMark): boolean {
  return !isNoMirroredRegistry(file.folder) && (mirrorPositions(file, mark)[0] ?? -1) !== 0;
}

/** The flag that names the registries; none when `_default` is enough. */
function registriesToName(
  files: readonly RegistryFile[],
  registries: readonly string[],
  { mark, unusable }: { readonly mark: MirrorMark; readonly unusable: readonly RegistryFile[] },
): string[] {
  const flag = '--mirrored-registries';
  const others = registries.filter((registry) => registry !== DEFAULT_FOLDER);
  const all = others.length < registries.length;
  const names = new Map<string, string>();
  for (const registry of others) {
    const [file] = files.filter(({ folder }) => registryFolders(registry).includes(folder));
    names.set(registry, file === undefined ? registry : withScheme(registry, file));
  }
  for (const file of all ? files : []) {
    const { folder, text = '', problem } = file;
    if (isNoMirroredRegistry(folder)) continue;
    // `--prepend-existing` refuses a file that cannot be parsed.
    if (problem !== undefined && !unusable.includes(file)) continue;
    const isOurs = provenanceOf(text, folder).origin !== 'theirs';
    const registry = registryOfFolder(folder);
    if (isOurs || lacksMirror(file, mark) || unusable.includes(file))
      names.set(registry, withScheme(registry, file));
  }
  if (names.size === 0) return [];
  return [flag, ...(all ? ["'*'"] : []), ...[...names.values()].map(shellWord)];
}

/** A registry with plain HTTP keeps its scheme, which `configuration` cannot know. */
function withScheme(registry: string, { hosts }: RegistryFile): string {
  const server = urlOf(hosts?.server ?? '');
  return server?.protocol === 'http:' && server.host === registry ? `http://${registry}` : registry;
}

/** The authority of a mirror with TLS, from where it is named already. */
function authority(
  facts: Facts,
  files: readonly RegistryFile[],
  { urls, mark }: { readonly urls: readonly string[]; readonly mark: MirrorMark },
): string[] {
  if (!urls.some((url) => url.startsWith('https:'))) return [];
  const given = files
    .flatMap((file) => mirrorPositions(file, mark).map((position) => file.hosts?.hosts[position]))
    .flatMap((host) => host?.ca ?? [])
    .find((path) => path.startsWith('/'));
  const path = given ?? facts.init.tls.ca;
  return path === '' ? [] : ['--mirror-target-ca', shellWord(path)];
}

/** The text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
