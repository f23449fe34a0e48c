import { isMap, isScalar, isSeq } from 'yaml';

import { canonicalRegistry, isRegistry, looksLikeRegistry } from '../../oci/reference.ts';
import { readEndpoint } from './endpoint.ts';
import { showAddress } from './mask.ts';
import { textOf, type Entry, type NodeReader } from './node-reader.ts';
import type { Endpoint, Mirror, Rewrite } from './registries.ts';
import { mendReplacement, patternProblem } from './rewrite.ts';
import { KEYS } from './words.ts';

/** Endpoints of a registry, at most. */
const MAX_ENDPOINTS = 100;

/** Where an endpoint stands, for what is found by comparing it with the rest of the file. */
interface PlacedEndpoint extends Endpoint {
  readonly at: number;
  /** The line with `https://` in the place of `http://`. */
  readonly secured: { from: number; to: number; text: string };
}

/** A mirror, and where its endpoints stand. */
export interface PlacedMirror extends Mirror {
  readonly endpoints: readonly PlacedEndpoint[];
}

/** Reads what stands under `mirrors`; entries that cannot be read are reported and left out. */
export function readMirrors(reader: NodeReader, section: Entry): Map<string, PlacedMirror> {
  const mirrors = new Map<string, PlacedMirror>();
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
 * The registry or host that a key names, as image names have it.
 *
 * @param fatal whether what is shared depends on it
 */
export function registryKey(reader: NodeReader, entry: Entry, fatal: boolean): string | undefined {
  const { key, keyNode } = entry;
  if (key === '*') return key;
  const report = (code: string, message: string, mended?: string): void => {
    const edit = mended === undefined ? undefined : reader.replaceQuoted(keyNode, mended);
    reader.source.add({ code, at: reader.at(keyNode), message, edit, fatal });
  };
  const [, scheme = '', user = '', host = '', path = ''] =
    /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)?([^/]*@)?([^/?#]*)(.*)$/s.exec(key) ?? [];
  if (key === '_default' || host === '*' || host.startsWith('*.')) {
    report('invalid-registry', 'all registries are written "*"; there are no other patterns', '*');
    return '*';
  }
  if (!isRegistry(host)) {
    report('invalid-registry', 'this is no registry; write HOST or HOST:PORT, as in image names');
    return undefined;
  }
  if (scheme + user + path !== '') {
    const what = [scheme && 'scheme', user && 'user', path && 'path'].filter((one) => one !== '');
    const message = `a registry is written HOST or HOST:PORT, as in image names, without ${what.join(' and ')}`;
    report('invalid-registry', message, host);
    return fatal ? canonicalRegistry(host) : host.toLowerCase();
  }
  const name = canonicalRegistry(host);
  if (!looksLikeRegistry(host)) {
    const message = 'no image name begins with this: a registry has a dot, a port, or is localhost';
    reader.source.add({
      code: 'invalid-registry',
      severity: 'warning',
      at: reader.at(keyNode),
      message,
    });
  } else if (fatal && name !== host.toLowerCase()) {
    const message = 'image names say docker.io, so k3s never looks here';
    const edit = reader.replace(keyNode, name);
    const at = reader.at(keyNode);
    reader.source.add({ code: 'docker-hub', severity: 'warning', at, message, edit });
  }
  // Under configs the real host of Docker Hub is a host of its own.
  return fatal ? name : host.toLowerCase();
}

function readMirror(reader: NodeReader, entry: Entry): PlacedMirror {
  const endpoints: PlacedEndpoint[] = [];
  const rewrites: Rewrite[] = [];
  const { value } = entry;
  if (value !== undefined && !isMap(value)) {
    const text = isScalar(value) ? textOf(value) : undefined;
    const mended = text === undefined ? undefined : `{ endpoint: [${JSON.stringify(text)}] }`;
    const name = reader.nameOf(entry) ?? 'a registry';
    reader.source.add({
      code: 'wrong-type',
      at: reader.at(value),
      message: `under ${name} there must be a map: endpoint, rewrite, or nothing`,
      edit: mended === undefined ? undefined : reader.replace(value, mended),
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

function readEndpoints(reader: NodeReader, { value }: Entry): PlacedEndpoint[] {
  if (value === undefined) return [];
  if (!isSeq(value)) {
    const edit = isScalar(value)
      ? reader.replace(value, `[${JSON.stringify(textOf(value))}]`)
      : undefined;
    const message = 'endpoint must be a list';
    reader.source.add({ code: 'wrong-type', at: reader.at(value), message, edit });
    return [];
  }
  const endpoints: PlacedEndpoint[] = [];
  const seen = new Set<string>();
  for (const item of value.items) {
    if (!isScalar(item) || typeof item.value !== 'string') {
      const at = isScalar(item) || isMap(item) || isSeq(item) ? reader.at(item) : reader.at(value);
      const message = 'an endpoint must be a text: http://HOST:PORT or https://HOST';
      reader.source.add({ code: 'wrong-type', at, message });
      continue;
    }
    const at = reader.at(item);
    if (endpoints.length >= MAX_ENDPOINTS) {
      const message = `more than ${MAX_ENDPOINTS} endpoints of one registry`;
      reader.source.add({ code: 'too-many', at, message });
      break;
    }
    const { endpoint, problems } = readEndpoint(item.value);
    for (const { mended, ...problem } of problems) {
      const edit = mended === undefined ? undefined : reader.replaceQuoted(item, mended);
      reader.source.add({ ...problem, at, edit });
    }
    if (endpoint === undefined) continue;
    if (seen.has(endpoint.url)) {
      const message = `${showAddress(endpoint.url)} is in this list already; k3s skips it`;
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
  const map = reader.map(section, 'a pattern, a colon, and what to write in its place');
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
      const message = 'a rewrite needs what to write in the place of the pattern';
      const at = reader.at(entry.value ?? entry.keyNode);
      if (entry.value === undefined) reader.source.add({ code: 'wrong-type', at, message });
      continue;
    }
    const mended = mendReplacement(replacement);
    if (mended !== replacement) {
      const message = 'groups are written $1, or ${1} before a letter, digit or underscore';
      const edit = reader.replaceQuoted(entry.value, mended);
      const at = reader.at(entry.value);
      reader.source.add({ code: 'bad-replacement', severity: 'warning', at, message, edit });
    }
    rewrites.push({ pattern: entry.key, replacement });
  }
  return rewrites;
}
