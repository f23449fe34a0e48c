import { isNoMirroredRegistry } from '../../hosts/hidden-default.ts';
import { DEFAULT_FOLDER, registryFolders } from '../../hosts/hosts-toml.ts';
import { isMirror, mirrorPositions, urlOf, type RegistryFile } from '../certs-folder.ts';
import type { Facts } from '../facts.ts';
import { hostsRemedy, lacksMirror } from '../hosts-remedy.ts';
import { failure, ok, skipped, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

const GROUP = 'hosts.toml files';

/** Checks of the hosts.toml files, which containerd reads at every pull. */
export const HOSTS_CHECKS: readonly Check<Facts>[] = [
  { id: 'hosts-file', group: GROUP, run: hostsFile },
  { id: 'hosts-hidden', group: GROUP, run: hostsHidden },
  { id: 'hosts-valid', group: GROUP, run: hostsValid },
  { id: 'hosts-server', group: GROUP, run: hostsServer },
];

async function hostsFile(facts: Facts): Promise<CheckResult> {
  const files = await facts.files();
  const mark = await facts.mirrorMark();
  const absent: string[] = [];
  const withoutMirror: string[] = [];
  const mirrorNotFirst: string[] = [];
  const registries = await facts.registries();
  const read = new Set<RegistryFile>();
  for (const registry of registries) {
    const file = registryFolders(registry)
      .map((name) => files.find(({ folder }) => folder === name))
      .find((it) => it !== undefined);
    if (file === undefined) absent.push(`${facts.certsFolder}/${registry}/hosts.toml`);
    else if (file.problem !== undefined || (file.ignoredHosts ?? []).length > 0)
      return skipped(`${file.path} is not valid: see hosts-valid`);
    else if (file.hosts === undefined) absent.push(file.path);
    else read.add(file);
  }
  // hosts-hidden reports the others that do not name the mirror at all.
  if (registries.includes(DEFAULT_FOLDER)) {
    for (const file of files) {
      if (lacksMirror(file, mark) && mirrorPositions(file, mark).length > 0) read.add(file);
    }
  }
  for (const file of read) {
    const [position = -1] = mirrorPositions(file, mark);
    if (position < 0) withoutMirror.push(file.path);
    if (position > 0) mirrorNotFirst.push(file.path);
  }
  if (absent.length > 0) {
    return failure(
      'there is no hosts.toml that names the mirror, so containerd never asks it',
      await hostsRemedy(facts),
      absent,
    );
  }
  if (withoutMirror.length > 0) {
    return failure(
      facts.init.mirrorTargets.length > 0
        ? `hosts.toml does not name ${facts.init.mirrorTargets.join(' or ')}`
        : 'hosts.toml names no mirror on this node (name one at another address by --mirror-targets)',
      await hostsRemedy(facts),
      withoutMirror,
    );
  }
  if (mirrorNotFirst.length > 0) {
    return warning(
      'other hosts come before the mirror, so containerd asks it only for what they do not have',
      await hostsRemedy(facts),
      mirrorNotFirst,
    );
  }
  return ok(`containerd asks the mirror first, for ${registries.join(', ')}`);
}

async function hostsHidden(facts: Facts): Promise<CheckResult> {
  const files = await facts.files();
  if (!(await facts.registries()).includes(DEFAULT_FOLDER)) {
    return ok('registries are named one by one, and each has a folder of its own');
  }
  const mark = await facts.mirrorMark();
  const hiding = files.filter(
    (file) => !isNoMirroredRegistry(file.folder) && mirrorPositions(file, mark).length === 0,
  );
  if (hiding.length === 0) return ok('no folder of a single registry hides _default');
  const [broken] = hiding.filter(({ problem }) => problem !== undefined);
  if (broken !== undefined && hiding.every(({ problem }) => problem !== undefined)) {
    return skipped(`${broken.path} is not valid: see hosts-valid`);
  }
  return failure(
    'folders of single registries hide _default and do not name the mirror: containerd never asks it for those registries',
    `${await hostsRemedy(facts)}\nor say which registries are mirrored: peerglass doctor --mirrored-registries ...`,
    hiding.map(({ path, hosts }) => `${path}${hosts === undefined ? ' (no valid file)' : ''}`),
  );
}

async function hostsValid(facts: Facts): Promise<CheckResult> {
  const files = await facts.files();
  const broken = files.filter(({ problem }) => problem !== undefined);
  const ignored = files.filter(({ ignoredHosts = [] }) => ignoredHosts.length > 0);
  if (broken.length > 0) {
    return failure(
      'containerd ignores these files as a whole, without an error message',
      `correct the line; capabilities are "pull", "resolve" and "push"${await replacement(facts, broken)}`,
      broken.map(({ path, problem = '' }) => `${path}: ${problem}`),
    );
  }
  if (ignored.length > 0) {
    return failure(
      'containerd 2.0 and later ignores hosts that are not in a table of their own',
      `write the host as [host."URL"], with its keys below${await replacement(facts, ignored)}`,
      ignored.map(({ path, ignoredHosts = [] }) => `${path}: ${ignoredHosts.join(', ')}`),
    );
  }
  const confusing = files.flatMap(({ path, hosts }) =>
    (hosts?.hosts ?? [])
      .filter((host) => (host.ca ?? host.client ?? host.skipVerify) !== undefined)
      .map(({ url }) => ({ path, url: urlOf(url) }))
      .filter(({ url }) => url?.protocol === 'http:' && url.port !== '')
      .map(({ path: at, url }) => `${at}: ${url?.origin ?? ''}`),
  );
  if (confusing.length > 0) {
    return warning(
      'TLS keys (ca, client, skip_verify) on an http:// host with a port: containerd tries HTTPS first',
      'remove these keys from the host',
      confusing,
    );
  }
  const present = files.filter(({ hosts }) => hosts !== undefined).length;
  return present === 0 ? skipped('there is no hosts.toml') : ok(`${present} files are valid`);
}

/** The command that moves the files away, as the second choice; none for files that are not ours to write. */
async function replacement(facts: Facts, files: readonly RegistryFile[]): Promise<string> {
  const registries = await facts.registries();
  const replaced = files.filter(({ folder }) =>
    registries.some((registry) =>
      registry === DEFAULT_FOLDER
        ? folder === registry || !isNoMirroredRegistry(folder)
        : registryFolders(registry)[0] === folder || registry === folder,
    ),
  );
  return replaced.length > 0
    ? `\nor move them away, and have the mirror written: ${await hostsRemedy(facts, replaced)}`
    : '';
}

async function hostsServer(facts: Facts): Promise<CheckResult> {
  const wrong: string[] = [];
  const closed: string[] = [];
  let checked = 0;
  const mark = await facts.mirrorMark();
  for (const { folder, path, hosts } of await facts.files()) {
    if (hosts === undefined) continue;
    checked += 1;
    const { server } = hosts;
    if (server === undefined) continue;
    const host = urlOf(server)?.host;
    if (host === undefined) wrong.push(`${path}: "${server}" is no URL`);
    else if (isMirror({ url: server }, mark)) closed.push(path);
    else if (folder === DEFAULT_FOLDER) {
      wrong.push(
        `${path}: server = '${server}' sends the images of every registry there; remove it`,
      );
    } else if (folder === 'docker.io' && /^(?:www\.|hub\.)?docker\.(?:io|com)$/.test(host)) {
      wrong.push(`${path}: write server = 'https://registry-1.docker.io'`);
    }
  }
  if (wrong.length > 0) {
    return failure(
      'server is not the registry: what no peer has cannot be pulled',
      'correct the line as shown above',
      wrong,
    );
  }
  if (closed.length > 0) {
    return warning(
      'server is the mirror itself, so containerd never asks the registry; that is right in an air gap only',
      "remove the line server = '...'",
      closed,
    );
  }
  return checked === 0
    ? skipped('there is no hosts.toml')
    : ok('containerd asks the registry for what no peer has');
}
