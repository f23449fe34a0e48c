import { isDeepStrictEqual } from 'node:util';

import { BYTE_ORDER_MARK } from './containerd-dialect.ts';
import { cutHosts, parsesAs, tablesOf } from './host-tables.ts';
import { HostsConfigError } from './hosts-error.ts';
import { parseHostsToml, type HostOptions, type HostsFile } from './hosts-toml.ts';
import { HostsTomlError } from './toml-table.ts';
import { renderHost, renderHostsToml } from './render-hosts-toml.ts';
import { K3S_HEADER } from './marker.ts';

/** Comment above the hosts of peerglass in a file that it did not write. */
const OURS = '# Hosts of peerglass, before the existing ones:\n';

/** The content of a `hosts.toml` that peerglass will write, without its marker. */
export interface ComposedFile {
  readonly content: string;
  /** Whether k3s wrote the file that the hosts were added to. */
  readonly k3s: boolean;
}

/** The files that the registry's folder already holds. */
export interface ExistingFiles {
  /** The `hosts.toml` that peerglass did not write. */
  readonly theirs: Buffer | undefined;
  /** Names of the other files. */
  readonly files: readonly string[];
}

/**
 * Composes a file that replaces the existing one, which is backed up.
 *
 * containerd uses certificates in the folder for the server only while the folder has no readable `hosts.toml`. The new
 * file names them, so that they stay in use.
 */
export function composeReplacement(
  wanted: HostsFile,
  { theirs, files }: ExistingFiles,
): ComposedFile {
  const certificates = theirs === undefined || !isValid(theirs) ? certificatesOf(files) : {};
  const serverOptions = { ...certificates, ...wanted.serverOptions };
  return { content: renderHostsToml({ ...wanted, serverOptions }), k3s: false };
}

/** Why an existing file stays unchanged: the wanted hosts are first in it, or follow others and cannot be moved. */
export type LeftAlone = 'first' | 'behind';

/**
 * Composes a file with the wanted hosts before the existing ones. The existing text is kept as it is: comments, order,
 * options. Existing tables that name a wanted host move to the front.
 *
 * @throws HostsConfigError when the existing file cannot be parsed, or has no place for the hosts
 */
export function composePrepended(wanted: HostsFile, theirs: Buffer): ComposedFile | LeftAlone {
  const text = decode(theirs);
  const existing = parse(text);
  const isMarked = theirs.subarray(0, 3).equals(Buffer.from(BYTE_ORDER_MARK));
  const k3s = text.startsWith(K3S_HEADER);
  const body = k3s ? text.slice(K3S_HEADER.length) : text;

  const named = new Map(existing.hosts.map((host) => [normalized(host.url), host]));
  const first = wanted.hosts.map((host) => named.get(normalized(host.url)) ?? host);
  const others = existing.hosts.filter((host) => !first.includes(host));
  if (isDeepStrictEqual([...first, ...others], existing.hosts)) {
    // containerd 2.0 and later ignores a file with a byte order mark.
    return isMarked ? { content: body, k3s } : 'first';
  }

  const cut = cutHosts(
    body,
    existing,
    first.filter((host) => existing.hosts.includes(host)),
  );
  if (cut !== undefined) {
    const tables = first.map((host) => cut.tables.get(host) ?? renderHost(host));
    const hosts = [...first, ...others];
    const content = insert(wanted, { ...existing, hosts }, { body: cut.rest, tables });
    if (content !== undefined) return { content, k3s };
  }
  // The tables cannot be moved: add only the hosts that are missing.
  const added = wanted.hosts.filter(({ url }) => !named.has(normalized(url)));
  if (added.length === 0) return 'behind';
  const hosts = [...added, ...existing.hosts];
  const content = insert(
    wanted,
    { ...existing, hosts },
    { body, tables: added.map((host) => renderHost(host)) },
  );
  if (content !== undefined) return { content, k3s };
  throw new HostsConfigError(
    'no place was found for the mirror before the existing hosts; put [host."URL"] tables below all other keys, or leave out --prepend-existing',
  );
}

/** Inserts the tables at the first place where the result parses as intended; undefined if there is none. */
function insert(
  wanted: HostsFile,
  existing: HostsFile,
  { body, tables }: { readonly body: string; readonly tables: readonly string[] },
): string | undefined {
  const server = existing.server ?? wanted.server;
  const meant: HostsFile = { ...existing, ...(server !== undefined && { server }) };
  const head =
    existing.server === undefined
      ? renderHostsToml({ ...wanted, serverOptions: {}, hosts: [] })
      : '';
  const block = `${OURS}${tables.map((table) => `${table.trimEnd()}\n`).join('\n')}\n`;
  for (const place of [...tablesOf(body).map(({ from }) => from), body.length]) {
    const before = body.slice(0, place);
    const gap = before === '' || before.endsWith('\n') ? '' : '\n';
    const content = `${head}${before}${gap}${block}${body.slice(place)}`;
    if (parsesAs(content, meant)) return content;
  }
  return undefined;
}

function parse(text: string): HostsFile {
  try {
    return parseHostsToml(text);
  } catch (error) {
    if (!(error instanceof HostsTomlError)) throw error;
    throw new HostsConfigError(
      `${error.message}; correct the file, or leave out --prepend-existing to have it backed up`,
      { cause: error },
    );
  }
}

function isValid(file: Buffer): boolean {
  if (file.length === 0) return false;
  try {
    parseHostsToml(decode(file));
    return true;
  } catch {
    return false;
  }
}

/** Decodes without a byte order mark, which would be inside the file once our lines precede it. */
function decode(file: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file);
  } catch (error) {
    throw new HostsConfigError(
      'not UTF-8 text; correct the file, or leave out --prepend-existing',
      {
        cause: error,
      },
    );
  }
}

/**
 * The URL of a host in a form that is equal for two names of one host. `/v2` at its end is what containerd adds without
 * it.
 */
export function normalized(url: string): string {
  const whole = url.startsWith('http') ? url : `https://${url}`;
  const { href } = URL.canParse(whole) ? new URL(whole) : { href: whole };
  return href.replace(/\/*$/, '').replace(/\/+v2$/, '');
}

/** Sorts files as containerd does: `*.crt` are CAs, `*.cert` with `*.key` are client certificates. */
function certificatesOf(files: readonly string[]): HostOptions {
  const sorted = files.toSorted();
  const ca = sorted.filter((name) => name.endsWith('.crt'));
  const client = sorted
    .filter((name) => name.endsWith('.cert'))
    .map((certificate): [string, string?] => {
      const key = `${certificate.slice(0, -'.cert'.length)}.key`;
      return files.includes(key) ? [certificate, key] : [certificate];
    });
  return { ...(ca.length > 0 && { ca }), ...(client.length > 0 && { client }) };
}
