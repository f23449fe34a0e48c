import { DEFAULT_FOLDER, registryFolders } from '../../hosts/hosts-toml.ts';
import { isMirror, mirrorPositions, urlOf, type RegistryFile } from '../certs-folder.ts';
import type { Facts } from '../facts.ts';
import { failure, ok, skipped, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';
import { versionOf } from './containerd-checks.ts';

const GROUP = 'hosts.toml files';

/** Checks of the hosts.toml files, which containerd reads at every pull. */
export const HOSTS_CHECKS: readonly Check<Facts>[] = [
  { id: 'hosts-file', group: GROUP, run: hostsFile },
  { id: 'hosts-hidden', group: GROUP, run: hostsHidden },
  { id: 'hosts-valid', group: GROUP, run: hostsValid },
  { id: 'hosts-server', group: GROUP, run: hostsServer },
];

/** Returns the command that writes the files. */
function configuration(facts: Facts, ...flags: readonly string[]): string {
  const target = facts.init.mirrorTargets[0] ?? 'http://127.0.0.1:5000';
  return [
    `peerglass configuration --mirror-targets ${target}`,
    `--containerd-registry-config-path ${facts.certsFolder}`,
    ...flags,
  ].join(' ');
}

async function hostsFile(facts: Facts): Promise<CheckResult> {
  const files = await facts.files();
  const absent: string[] = [];
  const withoutMirror: string[] = [];
  const mirrorNotFirst: string[] = [];
  const registries = await facts.registries();
  for (const registry of registries) {
    const file = registryFolders(registry)
      .map((name) => files.find(({ folder }) => folder === name))
      .find((it) => it !== undefined);
    if (file === undefined) absent.push(`${facts.certsFolder}/${registry}/hosts.toml`);
    else if (file.problem !== undefined)
      return skipped(`${file.path} is not valid: see hosts-valid`);
    else if (file.hosts === undefined) absent.push(file.path);
    else {
      const position = mirrorPosition(file, facts);
      if (position < 0) withoutMirror.push(file.path);
      if (position > 0) mirrorNotFirst.push(file.path);
    }
  }
  if (absent.length > 0) {
    return failure(
      'there is no hosts.toml that names the mirror, so containerd never asks it',
      configuration(facts),
      absent,
    );
  }
  if (withoutMirror.length > 0) {
    return failure(
      facts.init.mirrorTargets.length > 0
        ? `hosts.toml does not name ${facts.init.mirrorTargets.join(' or ')}`
        : 'hosts.toml names no mirror on this node (name one at another address by --mirror-targets)',
      configuration(facts, '--prepend-existing'),
      withoutMirror,
    );
  }
  if (mirrorNotFirst.length > 0) {
    return warning(
      'other hosts come before the mirror, so containerd asks it only for what they do not have',
      configuration(facts, '--prepend-existing'),
      mirrorNotFirst,
    );
  }
  return ok(`containerd asks the mirror first, for ${registries.join(', ')}`);
}

/** Returns the position of the mirror in the file, from 0; -1 when the file does not name it. */
function mirrorPosition(file: RegistryFile, facts: Facts): number {
  return mirrorPositions(file, facts.init.mirrorTargets)[0] ?? -1;
}

async function hostsHidden(facts: Facts): Promise<CheckResult> {
  const files = await facts.files();
  if (!(await facts.registries()).includes(DEFAULT_FOLDER)) {
    return ok('registries are named one by one, and each has a folder of its own');
  }
  const hiding = files.filter((file) => hides(file, facts));
  if (hiding.length === 0) return ok('no folder of a single registry hides _default');
  return failure(
    'folders of single registries hide _default and do not name the mirror: containerd never asks it for those registries',
    `${configuration(facts, '--prepend-existing', '--mirrored-registries', ...hiding.map(({ folder }) => folder))}\nor say which registries are mirrored: peerglass doctor --mirrored-registries ...`,
    hiding.map(({ path, hosts }) => `${path}${hosts === undefined ? ' (no valid file)' : ''}`),
  );
}

function hides(file: RegistryFile, facts: Facts): boolean {
  const { folder } = file;
  // `configuration` and k3s leave registries on loopback out. Names of backups begin with "_" or ".".
  if (/^[_.]/.test(folder) || /^(localhost|127\.|\[::1\])/.test(folder)) return false;
  return mirrorPosition(file, facts) < 0;
}

async function hostsValid(facts: Facts): Promise<CheckResult> {
  const files = await facts.files();
  const version = versionOf(await facts.version().catch(() => ''));
  const broken = files.flatMap(({ path, problem }) =>
    problem === undefined ? [] : [`${path}: ${problem}`],
  );
  const tooNew = files.filter(({ hosts }) => {
    if (version === undefined || hosts === undefined) return false;
    const [major, minor] = version;
    const knowsReferrers = major > 2 || (major === 2 && minor >= 2);
    return (
      !knowsReferrers && hosts.hosts.some(({ capabilities }) => capabilities.includes('referrers'))
    );
  });
  broken.push(
    ...tooNew.map(
      ({ path }) => `${path}: the capability "referrers" needs containerd 2.2 or later`,
    ),
  );
  if (broken.length > 0) {
    return failure(
      'containerd ignores these files as a whole, without an error message',
      'correct the line; capabilities are "pull", "resolve" and "push"',
      broken,
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

async function hostsServer(facts: Facts): Promise<CheckResult> {
  const wrong: string[] = [];
  const closed: string[] = [];
  let checked = 0;
  for (const { folder, path, hosts } of await facts.files()) {
    if (hosts === undefined) continue;
    checked += 1;
    const { server } = hosts;
    if (server === undefined) continue;
    const host = urlOf(server)?.host;
    if (host === undefined) wrong.push(`${path}: "${server}" is no URL`);
    else if (isMirror({ url: server }, facts.init.mirrorTargets)) closed.push(path);
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
