import { BlockList, isIP } from 'node:net';

/** The proxies of a Go program's environment. */
export interface ProxySettings {
  /** For `http://` and `https://` URLs; empty for none. */
  readonly http: string;
  readonly https: string;
  /** `NO_PROXY` as it is written. */
  readonly noProxy: string;
}

/** Upper bound for the entries of `NO_PROXY` that are read. */
const MAX_ENTRIES = 1_000;

/** Reads the variables as Go does: in upper case first. */
export function proxySettingsOf(
  environment: Readonly<Record<string, string | undefined>>,
): ProxySettings {
  const value = (name: string): string => {
    const [found = ''] = [environment[name], environment[name.toLowerCase()]].filter(
      (it) => it !== undefined && it !== '',
    );
    return found;
  };
  return {
    http: value('HTTP_PROXY'),
    https: value('HTTPS_PROXY'),
    noProxy: value('NO_PROXY'),
  };
}

/**
 * Finds the proxy through which a Go program sends a request (`golang.org/x/net/http/httpproxy`), to show it.
 *
 * @returns the proxy without user and password; undefined when the request goes straight to its host
 */
export function proxyFor(url: URL, settings: ProxySettings): string | undefined {
  const proxy = writtenFor(url, settings);
  return proxy && withoutUser(proxy);
}

/**
 * The same, to use it: with user and password, which must not be shown.
 *
 * @throws Error, without them, for a proxy that is no URL
 */
export function proxyUrlFor(url: URL, settings: ProxySettings): URL | undefined {
  const proxy = writtenFor(url, settings);
  if (proxy === undefined) return undefined;
  const whole = withScheme(proxy);
  const parsed = URL.canParse(whole) ? new URL(whole) : undefined;
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') {
    throw new Error(`the proxy for ${url.protocol}// is no http:// or https:// URL`);
  }
  return parsed;
}

/** As it is written in the variable of the scheme; undefined for none. */
function writtenFor(url: URL, settings: ProxySettings): string | undefined {
  const proxy = url.protocol === 'https:' ? settings.https : settings.http;
  return proxy === '' || isExempt(url, settings.noProxy) ? undefined : proxy;
}

function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  // Go never uses a proxy for these.
  if (host === 'localhost' || isLoopback(host)) return true;
  const entries = noProxy.toLowerCase().split(',').slice(0, MAX_ENTRIES);
  return entries.some((entry) => matches(entry.trim(), host, port));
}

/** Whether an entry of `NO_PROXY` matches: `*`, an address or network, a domain with its subdomains, each with a port. */
function matches(entry: string, host: string, port: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const [network = '', prefix] = entry.split('/');
  if (prefix !== undefined) return isInNetwork(host, network, Number(prefix));
  const [, bracketed, plain, wantedPort] =
    /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  // An IPv6 address without brackets has no port.
  const name = bracketed ?? plain ?? entry;
  if (wantedPort !== undefined && wantedPort !== port) return false;
  if (isIP(name) !== 0) return isInNetwork(host, name, isIP(name) === 4 ? 32 : 128);
  const domain = name.replace(/^\*/, '');
  if (domain === '') return false;
  return domain.startsWith('.')
    ? host.endsWith(domain)
    : host === domain || host.endsWith(`.${domain}`);
}

function isInNetwork(host: string, network: string, prefix: number): boolean {
  const family = isIP(network);
  if (
    family === 0 ||
    isIP(host) !== family ||
    !(prefix >= 0 && prefix <= (family === 4 ? 32 : 128))
  )
    return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(network, prefix, type);
  return list.check(host, type);
}

function isLoopback(host: string): boolean {
  return isInNetwork(host, '127.0.0.0', 8) || isInNetwork(host, '::1', 128);
}

function withoutUser(proxy: string): string {
  const whole = withScheme(proxy);
  return URL.canParse(whole) ? new URL(whole).origin : 'a proxy';
}

function withScheme(proxy: string): string {
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}
