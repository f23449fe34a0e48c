import { isMap, isScalar, isSeq } from 'yaml';

import { canonicalRegistry, isRegistry, looksLikeRegistry } from '../../oci/reference.ts';
import { showAddress } from './address.ts';
import { readEndpoint } from './endpoint.ts';
import { textOf, type Entry, type NodeReader } from './node-reader.ts';
import type { Endpoint, Mirror, Rewrite } from './registries.ts';
import { correctReplacement, patternProblem } from './rewrite.ts';
import { KEYS } from './words.ts';

/** Maximum number of endpoints of a registry. */
const MAX_ENDPOINTS = 100;

/** An endpoint and its place in the text, for findings of later comparisons. */
interface LocatedEndpoint extends Endpoint {
  readonly at: number;
  /** The edit that replaces `http://` by `https://`. */
  readonly secured: { from: number; to: number; text: string };
}

/** A mirror with the places of its endpoints. */
export interface LocatedMirror extends Mirror {
  readonly endpoints: readonly LocatedEndpoint[];
}

/** Reads `mirrors`. Entries that cannot be read are reported and left out. */
export function readMirrors(reader: NodeReader, section: Entry): Map<string, LocatedMirror> {
  const mirrors = new Map<string, LocatedMirror>();
  const map = reader.map(section, 'registries, each with a colon behind it', true);
  for (const entry of map === undefined ? [] : reader.entries(map, true)) {
    const registry = registryKey(reader, entry, true);
    const mirror = readMirror(reader, entry);
    if (registry === undefined || mirrors.has(registry)) continue;
    mirrors.set(registry, mirror);
  }
  return mirrors;
}

/**
 * The registry or host that a key names, in the form of image names; undefined if the key names none. k3s takes any text as
 * key, and never uses an entry whose key is not a registry.
 *
 * @param isMirror whether the key decides which registries are shared. Then a key that names none gets a name that no image
 *   has: a file with other keys only shares nothing, and not everything
 */
export function registryKey(
  reader: NodeReader,
  entry: Entry,
  isMirror: boolean,
): string | undefined {
  const { key, keyNode } = entry;
  if (key === '*') return key;
  const at = reader.at(keyNode);
  const report = (message: string, corrected?: string): void => {
    const edit = corrected === undefined ? undefined : reader.replaceQuoted(keyNode, corrected);
    reader.source.add({ code: 'invalid-registry', severity: 'warning', at, message, edit });
  };
  if (key === '_default') {
    report('all registries are written "*"', '*');
    return '*';
  }
  const unusable = isMirror ? `?${reader.source.locate(at).line}` : undefined;
  const [, scheme = '', user = '', host = '', path = ''] =
    /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)?([^/]*@)?([^/?#]*)(.*)$/s.exec(key) ?? [];
  if (!isRegistry(host)) {
    // A host of an endpoint may have a name that no registry of an image name has: my_mirror:5000.
    if (!isMirror && /^[\w.-]+(?::\d{1,5})?$/.test(key)) return key.toLowerCase();
    const hint = host.includes('*')
      ? 'there are no patterns but "*", for all registries'
      : 'a registry is written HOST or HOST:PORT';
    report(`no image name begins with this, so k3s never uses it; ${hint}`);
    return unusable;
  }
  if (scheme + user + path !== '') {
    const what = [scheme && 'scheme', user && 'user', path && 'path'].filter((one) => one !== '');
    const message = `k3s never uses this: a registry is written HOST or HOST:PORT, as in image names, without ${what.join(' and ')}`;
    report(message, host);
    return unusable;
  }
  const name = canonicalRegistry(host);
  if (!looksLikeRegistry(host)) {
    const message = 'no image name begins with this: a registry has a dot, a port, or is localhost';
    reader.source.add({ code: 'invalid-registry', severity: 'warning', at, message });
  } else if (isMirror && name !== host.toLowerCase()) {
    const message = 'image names have docker.io, so k3s never uses this entry';
    const edit = reader.replace(keyNode, name);
    reader.source.add({ code: 'docker-hub', severity: 'warning', at, message, edit });
  }
  // Under configs the real host of Docker Hub is a separate key.
  return isMirror ? name : host.toLowerCase();
}

function readMirror(reader: NodeReader, entry: Entry): LocatedMirror {
  const endpoints: LocatedEndpoint[] = [];
  const rewrites: Rewrite[] = [];
  const { value } = entry;
  if (value !== undefined && !isMap(value)) {
    const text = isScalar(value) ? textOf(value) : undefined;
    const corrected = text === undefined ? undefined : `{ endpoint: [${JSON.stringify(text)}] }`;
    const name = reader.nameOf(entry) ?? 'a registry';
    reader.source.add({
      code: 'wrong-type',
      at: reader.at(value),
      message: `under ${name} there must be a map: endpoint, rewrite, or nothing`,
      edit: corrected === undefined ? undefined : reader.replace(value, corrected),
    });
    return { endpoints, rewrites };
  }
  for (const part of value === undefined ? [] : reader.entries(value, false)) {
    if (part.key === 'endpoint') endpoints.push(...readEndpoints(reader, part));
    else if (part.key === 'rewrite') rewrites.push(...readRewrites(reader, part));
    else reader.unknown(part, 'under a mirror', KEYS.mirror);
  }
  return { endpoints, rewrites };
}

function readEndpoints(reader: NodeReader, { value }: Entry): LocatedEndpoint[] {
  if (value === undefined) return [];
  if (!isSeq(value)) {
    const edit = isScalar(value)
      ? reader.replace(value, `[${JSON.stringify(textOf(value))}]`)
      : undefined;
    const message = 'endpoint must be a list';
    reader.source.add({ code: 'wrong-type', at: reader.at(value), message, edit });
    return [];
  }
  const endpoints: LocatedEndpoint[] = [];
  const seen = new Set<string>();
  for (const item of reader.items(value)) {
    const at = reader.at(item);
    if (!isScalar(item) || typeof item.value !== 'string') {
      const message = 'an endpoint must be text: http://HOST:PORT or https://HOST';
      reader.source.add({ code: 'wrong-type', at, message });
      continue;
    }
    if (endpoints.length >= MAX_ENDPOINTS) {
      const message = `more than ${MAX_ENDPOINTS} endpoints of one registry`;
      reader.source.add({ code: 'too-many', at, message });
      break;
    }
    const { endpoint, problems } = readEndpoint(item.value);
    for (const { corrected, ...problem } of problems) {
      const edit = corrected === undefined ? undefined : reader.replaceQuoted(item, corrected);
      // A path without v2 may be right.
      reader.source.add({ ...problem, at, edit, isChoice: problem.severity === 'warning' });
    }
    if (endpoint === undefined) continue;
    if (seen.has(endpoint.url)) {
      const message = `${showAddress(endpoint.url)} is already in this list; k3s ignores it`;
      reader.source.add({ code: 'duplicate-endpoint', severity: 'warning', at, message });
      continue;
    }
    seen.add(endpoint.url);
    const secured = reader.replaceQuoted(item, item.value.trim().replace(/^http:/, 'https:'));
    endpoints.push({ ...endpoint, at, secured });
  }
  return endpoints;
}

function readRewrites(reader: NodeReader, section: Entry): Rewrite[] {
  const map = reader.map(section, 'a pattern, a colon, and the replacement');
  const rewrites: Rewrite[] = [];
  for (const entry of map === undefined ? [] : reader.entries(map, false)) {
    const replacement = reader.text(entry);
    const problem = patternProblem(entry.key);
    if (problem !== undefined) {
      const message = `bad regular expression: ${problem}`;
      reader.source.add({ code: 'bad-pattern', at: reader.at(entry.keyNode), message });
      continue;
    }
    if (replacement === undefined || entry.value === undefined) {
      const message = 'a rewrite needs a replacement of the pattern';
      const at = reader.at(entry.value ?? entry.keyNode);
      if (entry.value === undefined) reader.source.add({ code: 'wrong-type', at, message });
      continue;
    }
    const corrected = correctReplacement(replacement);
    if (corrected !== replacement) {
      const message = 'groups are written $1, or ${1} before a letter, digit or underscore';
      const edit = reader.replaceQuoted(entry.value, corrected);
      const at = reader.at(entry.value);
      reader.source.add({ code: 'bad-replacement', severity: 'warning', at, message, edit });
    }
    rewrites.push({ pattern: entry.key, replacement });
  }
  return rewrites;
}
