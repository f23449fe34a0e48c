import { isIP } from 'node:net';

/** Second-level names under which others can register: a domain below them is not one with its neighbour. */
const SHARED_SUFFIXES = new Set([
  'ac',
  'co',
  'com',
  'edu',
  'gob',
  'gov',
  'mil',
  'ne',
  'net',
  'or',
  'org',
]);

/**
 * The address of a token server that a registry names; undefined when it is none that is asked: Artifactory and Nexus send
 * names there. Never `http:` for a registry that is asked by `https:`.
 */
export function realmOf(text: string | undefined, registry: URL): URL | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined;
  const realm = new URL(text);
  if (realm.username !== '' || realm.password !== '' || realm.hostname === '') return undefined;
  if (realm.protocol === 'https:') return realm;
  return realm.protocol === 'http:' && registry.protocol === 'http:' ? realm : undefined;
}

/**
 * Whether the token server may have the credentials of the registry: it is the same host, a host below it, or one of the
 * domain that the registry is in (`auth.docker.io` for `registry-1.docker.io`). What a registry names comes from outside.
 */
export function isOfRegistry(realm: URL, registry: URL): boolean {
  const [host, own] = [realm.hostname.toLowerCase(), registry.hostname.toLowerCase()];
  if (host === own) return true;
  if (isIP(host) !== 0 || isIP(own) !== 0 || own.startsWith('[')) return false;
  if (host.endsWith(`.${own}`)) return !isShared(own);
  const domain = own.slice(own.indexOf('.') + 1);
  if (!own.includes('.') || isShared(domain)) return false;
  return host === domain || host.endsWith(`.${domain}`);
}

/** Whether a domain is one that many owners share, by its form: `io`, `co.uk`. */
export function isShared(domain: string): boolean {
  const [first = '', top, ...more] = domain.split('.');
  if (top === undefined) return true;
  return more.length === 0 && top.length === 2 && SHARED_SUFFIXES.has(first);
}
