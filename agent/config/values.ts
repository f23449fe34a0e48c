import { accessSync, constants, statSync } from 'node:fs';
import { isIP } from 'node:net';

import { parseShareRule } from '../oci/share-rule.ts';
import { parseBaseUrl, parsePeerAddress } from './peer-addresses.ts';
import { parseMirrorTarget, parseRegistryName, parseTokenServer } from './registry-names.ts';

/** A kind of option value: its text form and its parser. */
export interface ValueKind<T> {
  /** Placeholder of the value in `--help`: `HOST:PORT`, `DURATION`. */
  readonly placeholder: string;
  /** Whether the option takes several values, which an environment variable separates by commas. */
  readonly list: boolean;
  /** All allowed values, where they are a few words. */
  readonly choices?: readonly string[];
  /**
   * Parses the texts of the values.
   *
   * @throws Error whose message continues "--flag: " and says what to write instead
   */
  parse(texts: readonly string[]): T;
}

/** Makes a kind with one value. */
function one<T>(placeholder: string, parse: (text: string) => T): ValueKind<T> {
  return {
    placeholder,
    list: false,
    parse: ([text = '']) => parse(text),
  };
}

/** Makes a kind with any number of values. */
function many<T>(placeholder: string, parse: (text: string) => T): ValueKind<T[]> {
  return { placeholder, list: true, parse: (texts) => texts.map(parse) };
}

/** A host and a port to listen on. */
export interface HostPort {
  /** Empty for every address. */
  readonly host: string;
  readonly port: number;
}

const HOST_PORT = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/;

function parseHostPort(text: string): HostPort {
  const match = HOST_PORT.exec(text);
  const [, v6, name = '', digits] = match ?? [];
  const port = Number(digits);
  const host = v6 ?? name;
  if (match === null || port > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) {
    throw new Error(`"${text}" is no address; write HOST:PORT, [IPV6]:PORT or :PORT`);
  }
  return { host, port };
}

/** Checks a network in the notation of CIDR, or an IP address. */
function parseNetwork(text: string): string {
  const [ip = '', bits = '0', ...more] = text.split('/');
  const version = isIP(ip);
  const most = version === 6 ? 128 : 32;
  if (version === 0 || more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > most) {
    throw new Error(`"${text}" is no network; write for example 10.96.0.0/12 or 10.0.0.1`);
  }
  return text;
}

const DURATION_UNITS: Record<string, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ms|s|m|h))+$/;

/**
 * Parses a duration in Go's notation, in milliseconds.
 *
 * @param min shortest duration, in milliseconds
 */
function parseDuration(text: string, min: number): number {
  if (text !== '0' && !DURATION.test(text)) {
    throw new Error(`"${text}" is no duration; write for example 20ms, 5s or 1m30s`);
  }
  let total = 0;
  for (const [, amount, unit = ''] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)/g)) {
    total += Number(amount) * (DURATION_UNITS[unit] ?? 0);
  }
  total = Math.round(total);
  if (total > 2 ** 31 - 1) throw new Error(`"${text}" is longer than 24 days`);
  if (total < min) throw new Error(`"${text}" is too short; at least ${min}ms`);
  return total;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`"${text}" is no whole number`);
  return Number(text);
}

/** Upper bound for an amount of memory, in bytes. */
const MAX_MEMORY = 2 ** 30;

const SIZE_UNITS: Record<string, number> = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** Parses a size in bytes, with binary units only: `10MiB`, or `10Mi` as in Kubernetes. */
function parseSize(text: string): number {
  const [, amount, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)(?:(Ki|Mi|Gi)B?)?$/.exec(text) ?? [];
  const bytes = Math.round(Number(amount) * (SIZE_UNITS[unit] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes)) {
    throw new Error(`"${text}" is no size; write for example 500KiB, 10MiB or 0`);
  }
  return bytes;
}

function parseMemory(text: string): number {
  const bytes = parseSize(text);
  if (bytes > MAX_MEMORY) throw new Error(`"${text}" is too much; at most 1GiB`);
  return bytes;
}

/** Lower bound for a rate, in bytes a second; below it bodies would count as stalled. */
const MIN_RATE = 2 ** 20;

/** Parses a rate in bytes a second; empty or 0 for no limit. */
function parseRate(text: string): number {
  const rate = text === '' ? 0 : parseSize(text);
  if (rate > 0 && rate < MIN_RATE) {
    throw new Error(`"${text}" is too little; at least 1MiB a second, or 0`);
  }
  return rate;
}

/** Parses the name of one registry, as in image names; empty for none. */
function parseOneRegistry(text: string): string | undefined {
  if (text === '') return undefined;
  const named = parseRegistryName(text);
  if (named === undefined) throw new Error(`"${text}" is not one registry; write docker.io`);
  return named.registry;
}

/** Parses a zone, which is the value of a Kubernetes label. */
function parseZone(text: string): string {
  if (text !== '' && !/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(text)) {
    throw new Error(`"${text}" is no zone; letters, digits, "-", "_" and ".", 63 at most`);
  }
  return text;
}

/** Parses a qualified name of Kubernetes: a name with an optional DNS subdomain and slash before it. */
function parseTaintKey(text: string): string {
  const [name = '', prefix, ...more] = text.split('/').reverse();
  const isName = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(name);
  const isPrefix =
    prefix === undefined ||
    (prefix.length <= 253 &&
      /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/.test(prefix));
  if (!isName || !isPrefix || more.length > 0) {
    throw new Error(
      `"${text}" is no key of a taint; write for example example.com/mirror-not-ready`,
    );
  }
  return text;
}

function parseBoolean(text: string): boolean {
  if (/^(true|1|yes)$/i.test(text)) return true;
  if (/^(false|0|no)$/i.test(text)) return false;
  throw new Error(`"${text}" is neither true nor false`);
}

function parseRegex(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new Error(error instanceof Error ? error.message : `"${text}" is no regular expression`, {
      cause: error,
    });
  }
}

function parseFolder(text: string): string {
  if (text === '') return '';
  try {
    if (!statSync(text).isDirectory()) throw new Error(`"${text}" is not a folder`);
    accessSync(text, constants.R_OK | constants.X_OK);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    // The store waits for a folder that does not exist yet.
    if (error.code === 'ENOENT') return text;
    throw new Error(`"${text}" cannot be read (${String(error.code)})`, { cause: error });
  }
  return text;
}

function parseIp(text: string): string {
  if (isIP(text) === 0) throw new Error(`"${text}" is no IP; write for example 10.0.0.7`);
  return text;
}

/** The kinds of option values. */
export const VALUE = {
  text: one('TEXT', (text) => text),
  shareRules: many('RULE', parseShareRule),
  networks: many('CIDR', parseNetwork),
  path: one('PATH', (text) => text),
  folder: one('FOLDER', parseFolder),
  address: one('HOST:PORT', parseHostPort),
  optionalAddress: one('HOST:PORT', (text) => (text === '' ? undefined : parseHostPort(text))),
  duration: one('DURATION', (text) => parseDuration(text, 1)),
  durationOrZero: one('DURATION', (text) => parseDuration(text, 0)),
  interval: one('DURATION', (text) => parseDuration(text, 1_000)),
  count: one('NUMBER', parseCount),
  size: one('SIZE', parseSize),
  memory: one('SIZE', parseMemory),
  rate: one('SIZE', parseRate),
  zone: one('ZONE', parseZone),
  taintKey: one('KEY', parseTaintKey),
  boolean: one('true|false', parseBoolean),
  url: one('URL', parseBaseUrl),
  ips: many('IP', parseIp),
  regexes: many('REGEX', parseRegex),
  registries: many('REGISTRY', parseRegistryName),
  optionalRegistry: one('REGISTRY', parseOneRegistry),
  tokenServers: many('REGISTRY=HOST', parseTokenServer),
  targets: many('URL', parseMirrorTarget),
  peers: many('PEER', parsePeerAddress),
} as const;

/** Makes a kind for one of several words, in upper or lower case. */
export function choice<const T extends string>(...words: readonly T[]): ValueKind<T> {
  const kind = one(words.join('|'), (text) => {
    const word = words.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
    if (word === undefined) throw new Error(`"${text}" is not one of ${words.join(', ')}`);
    return word;
  });
  return { ...kind, choices: words };
}
