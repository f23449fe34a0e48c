import { isMap, isScalar } from 'yaml';

import { textOf, type Entry, type NodeReader } from './node-reader.ts';
import { registryKey } from './read-mirrors.ts';
import type { HostConfig, RegistryAuth, RegistryTls } from './registries.ts';
import { Secret } from './secret.ts';
import { KEYS, nearestWord } from './words.ts';

/** A file named under `tls`, and its place in the text. */
export interface LocatedFile {
  readonly path: string;
  readonly what: 'CA' | 'certificate' | 'key';
  readonly at: number;
  readonly node: NonNullable<Entry['value']>;
}

/** The settings of a host, and their place in the text. */
export interface LocatedConfig extends HostConfig {
  readonly entry: Entry;
  readonly files: readonly LocatedFile[];
}

/** Reads `configs`. Entries that cannot be read are reported and left out. */
export function readConfigs(reader: NodeReader, section: Entry): Map<string, LocatedConfig> {
  const configs = new Map<string, LocatedConfig>();
  const map = reader.map(section, 'hosts, each with auth or tls under it');
  for (const entry of map === undefined ? [] : reader.entries(map, false)) {
    const host = registryKey(reader, entry, false);
    const config = readConfig(reader, entry);
    if (config === undefined || host === undefined || configs.has(host)) continue;
    configs.set(host, config);
  }
  return configs;
}

function readConfig(reader: NodeReader, entry: Entry): LocatedConfig | undefined {
  const map = reader.map(entry, 'auth and tls');
  // Without settings the key may not be a host, but for example a password on a line that lost its indentation.
  if (map === undefined) return undefined;
  const files: LocatedFile[] = [];
  let auth: RegistryAuth | undefined;
  let tls: RegistryTls | undefined;
  const parts = reader.entries(map, false);
  for (const part of parts) {
    if (part.key === 'auth') auth = readAuth(reader, part);
    else if (part.key === 'tls') tls = readTls(reader, part, files);
    else reportMisplaced(reader, part, parts);
  }
  return { entry, files, ...(auth !== undefined && { auth }), ...(tls !== undefined && { tls }) };
}

/** Reports a key that belongs one level deeper, or is unknown. */
function reportMisplaced(reader: NodeReader, part: Entry, parts: readonly Entry[]): void {
  const home = (['auth', 'tls'] as const).find((name) =>
    (KEYS[name] as readonly string[]).includes(part.key),
  );
  if (home === undefined) {
    reader.unknown(part, 'under a host', KEYS.config);
    return;
  }
  const end = part.value?.range?.[1] ?? part.keyNode.range?.[1] ?? 0;
  const from = reader.at(part.keyNode);
  const text = `${home}: { ${reader.source.text.slice(from, end)} }`;
  const message = `${part.key} belongs under ${home}; k3s ignores it here`;
  // The value of an alias is elsewhere.
  const edit = end < from ? undefined : { from, to: end, text };
  // With another key of the same kind, both belong into one map.
  const siblings: readonly string[] = [home, ...KEYS[home]];
  const isChoice = parts.some((other) => other !== part && siblings.includes(other.key));
  reader.source.add({ code: 'misplaced-key', at: from, message, edit, isChoice });
}

function readAuth(reader: NodeReader, section: Entry): RegistryAuth | undefined {
  const { value } = section;
  if (isScalar(value)) {
    const text = textOf(value);
    reader.source.add({
      code: 'auth-not-a-map',
      severity: 'warning',
      at: reader.at(value),
      message: 'auth must be a map: username and password, or auth with both in base64',
      edit: reader.replace(value, `{ auth: ${JSON.stringify(text)} }`),
    });
    return { auth: new Secret(text) };
  }
  const map = reader.map(section, 'username and password, auth, or identity_token');
  if (map === undefined) return undefined;
  const found: Record<string, { entry: Entry; text: string }> = {};
  // Includes misspelt keys, for which there is a finding already.
  const written = new Set<string>();
  for (const entry of reader.entries(map, false)) {
    if (!(KEYS.auth as readonly string[]).includes(entry.key)) {
      reader.unknown(entry, 'under auth', KEYS.auth);
      const similar = nearestWord(entry.key, KEYS.auth);
      if (similar !== undefined) written.add(similar);
      continue;
    }
    written.add(entry.key);
    const text = reader.text(entry);
    if (text !== undefined && text !== '') found[entry.key] = { entry, text };
  }
  const { username, password, auth, identity_token: identityToken } = found;
  const lone = username ?? password;
  if (lone !== undefined && written.has('username') !== written.has('password')) {
    const { entry } = lone;
    const message = `${username === undefined ? 'password without username' : 'username without password'}: both are needed`;
    reader.source.add({ code: 'incomplete-auth', at: reader.at(entry.keyNode), message });
  }
  if (auth !== undefined && !isBasic(auth.text)) {
    const message = 'auth must be the base64 of username:password';
    const { entry } = auth;
    reader.source.add({ code: 'bad-auth', at: reader.at(entry.value ?? entry.keyNode), message });
  }
  return {
    ...(username !== undefined && { username: new Secret(username.text) }),
    ...(password !== undefined && { password: new Secret(password.text) }),
    ...(auth !== undefined && { auth: new Secret(auth.text) }),
    ...(identityToken !== undefined && { identityToken: new Secret(identityToken.text) }),
  };
}

function isBasic(text: string): boolean {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return false;
  return Buffer.from(text, 'base64').includes(':');
}

function readTls(
  reader: NodeReader,
  section: Entry,
  files: LocatedFile[],
): RegistryTls | undefined {
  const map = reader.map(section, 'ca_file, cert_file and key_file, insecure_skip_verify');
  if (map === undefined) return undefined;
  const paths: Partial<Record<string, Entry & { path: string }>> = {};
  const written = new Set<string>();
  let insecureSkipVerify = false;
  for (const entry of reader.entries(map, false)) {
    if (entry.key === 'insecure_skip_verify') {
      insecureSkipVerify = reader.boolean(entry);
    } else if ((KEYS.tls as readonly string[]).includes(entry.key)) {
      const path = reader.text(entry);
      if (path !== undefined && path !== '') paths[entry.key] = { ...entry, path };
    } else {
      reader.unknown(entry, 'under tls', KEYS.tls);
    }
    written.add(nearestWord(entry.key, KEYS.tls) ?? entry.key);
  }
  const { ca_file: ca, cert_file: cert, key_file: key } = paths;
  const lone = cert ?? key;
  if (lone !== undefined && written.has('cert_file') !== written.has('key_file')) {
    const { keyNode } = lone;
    const message = `${cert === undefined ? 'key_file without cert_file' : 'cert_file without key_file'}: a client certificate needs both`;
    reader.source.add({ code: 'incomplete-client', at: reader.at(keyNode), message });
  }
  const addFile = (
    entry: (Entry & { path: string }) | undefined,
    what: LocatedFile['what'],
  ): void => {
    if (entry?.value === undefined || isMap(entry.value)) return;
    files.push({ path: entry.path, what, at: reader.at(entry.value), node: entry.value });
  };
  addFile(ca, 'CA');
  addFile(cert, 'certificate');
  addFile(key, 'key');
  return {
    ...(ca !== undefined && { caFile: ca.path }),
    ...(cert !== undefined && { certFile: cert.path }),
    ...(key !== undefined && { keyFile: key.path }),
    insecureSkipVerify,
  };
}
