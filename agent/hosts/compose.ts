import { isDeepStrictEqual } from 'node:util';

import { cutHosts, means, tablesOf } from './host-tables.ts';
import { HostsConfigError } from './hosts-error.ts';
import { parseHostsToml, type HostOptions, type HostsFile } from './hosts-toml.ts';
import { HostsTomlError } from './toml-table.ts';
import { renderHost, renderHostsToml } from './render-hosts-toml.ts';
import { K3S_HEADER } from './marker.ts';

/** Begins our hosts in a file that is not ours otherwise. */
const OURS = '# Of peerglass, before the hosts that were here:\n';

/** The content of a file of ours, without its marker. */
export interface Composed {
  readonly content: string;
  /** Whether it is a file that k3s wrote, with our hosts in it. */
  readonly k3s: boolean;
}

/** What is in the folder already. */
export interface Existing {
  /** The `hosts.toml` that is not ours. */
  readonly theirs: Buffer | undefined;
  /** Names of the other files. */
  readonly files: readonly string[];
}

/**
 * What the file is to be when theirs is set aside.
 *
 * Without a `hosts.toml` that it can read, containerd uses the certificates in the folder for the server, and with
 * one it does not: then ours names them, and they stay in use.
 */
export function composeAnew(wanted: HostsFile, { theirs, files }: Existing): Composed {
  const certificates = theirs === undefined || !isValid(theirs) ? certificatesOf(files) : {};
  const serverOptions = { ...certificates, ...wanted.serverOptions };
  return { content: renderHostsToml({ ...wanted, serverOptions }), k3s: false };
}

/** Why a file of theirs is left alone: the wanted hosts are the first in it, or stand where they cannot be moved from. */
export type LeftAlone = 'first' | 'behind';

/**
 * What the file is to be with the wanted hosts before theirs, and all of theirs kept as it is written: comments,
 * order, options. Tables of theirs that name a wanted host are moved to the front.
 *
 * @throws HostsConfigError when theirs cannot be understood, rather than guess
 */
export function composeBefore(wanted: HostsFile, theirs: Buffer): Composed | LeftAlone {
  const text = decode(theirs);
  const existing = parse(text);
  const k3s = text.startsWith(K3S_HEADER);
  const body = k3s ? text.slice(K3S_HEADER.length) : text;

  const named = new Map(existing.hosts.map((host) => [normalized(host.url), host]));
  const first = wanted.hosts.map((host) => named.get(normalized(host.url)) ?? host);
  const others = existing.hosts.filter((host) => !first.includes(host));
  if (isDeepStrictEqual([...first, ...others], existing.hosts)) return 'first';

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
  // Those that are there stay where they are.
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
    'no place was found for the mirror before the hosts that are there; put [host."URL"] tables below all other keys, or leave out --prepend-existing',
  );
}

/** Puts the tables where the file then means what it is to; undefined without such a place. */
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
    if (means(content, meant)) return content;
  }
  return undefined;
}

function parse(text: string): HostsFile {
  try {
    return parseHostsToml(text);
  } catch (error) {
    if (!(error instanceof HostsTomlError)) throw error;
    throw new HostsConfigError(
      `${error.message}; mend the file, or leave out --prepend-existing to set it aside`,
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

function decode(file: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file);
  } catch (error) {
    throw new HostsConfigError('no text in UTF-8; mend the file, or leave out --prepend-existing', {
      cause: error,
    });
  }
}

function normalized(url: string): string {
  const whole = url.startsWith('http') ? url : `https://${url}`;
  return URL.canParse(whole) ? new URL(whole).href : whole;
}

/** As containerd takes them: `*.crt` are CAs, `*.cert` with `*.key` client certificates. */
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
