import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf } from '../errors/system-error.ts';
import { readingOf } from '../hosts/containerd-dialect.ts';
import type { ContainerdVersion } from '../hosts/containerd-version.ts';
import {
  MAX_HOSTS_TOML_BYTES,
  parseHostsToml,
  type HostEntry,
  type HostsFile,
} from '../hosts/hosts-toml.ts';
import { HostsTomlError } from '../hosts/toml-table.ts';
import { provenanceOf } from '../hosts/marker.ts';
import { UnsuitableFileError, readSmallText } from '../files/small-file.ts';
import { CheckSkippedError } from './report.ts';

/** Upper bound for the registry folders that are read. */
const MAX_FOLDERS = 1_000;

/** The hosts.toml of one registry. */
export interface RegistryFile {
  /** Name of the folder: `_default`, `docker.io`, `10.0.0.1:5000`. */
  readonly folder: string;
  readonly path: string;
  /** Absent when the folder has no hosts.toml. */
  readonly text?: string;
  /** Absent when the file is missing or invalid. */
  readonly hosts?: HostsFile;
  /** Why containerd ignores the file. */
  readonly problem?: string;
  /** URLs of hosts that this containerd ignores, although it reads the file; `hosts` is without them. */
  readonly ignoredHosts?: readonly string[];
}

/**
 * Reads every hosts.toml below the folder, as containerd does.
 *
 * @param version of the containerd that reads them; when unknown, only what no version takes is a problem
 * @returns none when the folder does not exist
 * @throws CheckSkippedError when it may not be read
 */
export async function readCertsFolder(
  folder: string,
  version?: ContainerdVersion,
): Promise<RegistryFile[]> {
  let names: string[];
  try {
    names = (await readdir(folder)).sort();
  } catch (error) {
    const code = codeOf(error) ?? '';
    if (code === 'ENOENT') return [];
    throw new CheckSkippedError(`${folder} cannot be read (${code}); run doctor as root`, {
      cause: error,
    });
  }
  const files: RegistryFile[] = [];
  for (const name of names.slice(0, MAX_FOLDERS)) {
    const entry = await stat(join(folder, name)).catch(() => undefined);
    if (entry?.isDirectory() === true) files.push(await readRegistryFile(folder, name, version));
  }
  return files;
}

async function readRegistryFile(
  folder: string,
  name: string,
  version: ContainerdVersion | undefined,
): Promise<RegistryFile> {
  const path = join(folder, name, 'hosts.toml');
  let text: string;
  try {
    text = await readSmallText(path, MAX_HOSTS_TOML_BYTES);
  } catch (error) {
    if (error instanceof UnsuitableFileError) return { folder: name, path, problem: error.message };
    const code = codeOf(error) ?? '';
    if (code === 'ENOENT') return { folder: name, path };
    if (code === 'ELOOP') return { folder: name, path, problem: 'a symbolic link to itself' };
    throw new CheckSkippedError(`${path} cannot be read (${code}); run doctor as root`, {
      cause: error,
    });
  }
  try {
    const hosts = parseHostsToml(text);
    const file = { folder: name, path, text };
    if (version === undefined) return { ...file, hosts };
    const { problem, ignoredHosts } = readingOf(text, hosts, version);
    if (problem !== undefined) return { ...file, problem };
    const read = hosts.hosts.filter(({ url }) => !ignoredHosts.includes(url));
    return { ...file, hosts: { ...hosts, hosts: read }, ignoredHosts };
  } catch (error) {
    if (!(error instanceof HostsTomlError)) throw error;
    return { folder: name, path, text, problem: error.message };
  }
}

/** How the mirror is recognised in a hosts.toml. */
export interface MirrorMark {
  /** URLs under which containerd knows the mirror. */
  readonly targets: readonly string[];
  /** Where the agent's mirror listens; undefined when unknown. */
  readonly port: number | undefined;
}

/**
 * Finds the mirror among the hosts of a file: the hosts that are targets. Without targets, the mirror is a host on
 * loopback at the agent's port (any port when that is unknown), and the first host of a file that `configuration` wrote.
 *
 * @returns positions in the file, from 0
 */
export function mirrorPositions(
  { folder, text = '', hosts }: RegistryFile,
  mark: MirrorMark,
): number[] {
  const written = mark.targets.length === 0 && provenanceOf(text, folder).origin !== 'theirs';
  return (hosts?.hosts ?? []).flatMap((host, position) =>
    (written && position === 0) || isMirror(host, mark) ? [position] : [],
  );
}

/** Whether the host is the mirror: one of the targets or, without targets, a host on loopback at the agent's port. */
export function isMirror(entry: Pick<HostEntry, 'url'>, { targets, port }: MirrorMark): boolean {
  if (targets.length > 0) return targets.some((target) => sameOrigin(target, entry.url));
  const url = urlOf(entry.url);
  if (url === undefined || !/^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)) return false;
  return port === undefined || Number(url.port || (url.protocol === 'https:' ? 443 : 80)) === port;
}

/** Parses the URL of a host as containerd does: without a scheme it is https. */
export function urlOf(text: string): URL | undefined {
  const whole = text.startsWith('http') ? text : `https://${text}`;
  return URL.canParse(whole) ? new URL(whole) : undefined;
}

function sameOrigin(a: string, b: string): boolean {
  const [left, right] = [urlOf(a), urlOf(b)];
  return left !== undefined && left.origin === right?.origin;
}
