import { isIP } from 'node:net';

/** Port at which peers are dialled when an address has none: the default of `--router-addr`. */
const DEFAULT_PORT = 5001;
/** Maximum length of a peer address, in characters. */
const MAX_ADDRESS = 512;

/** An address, a port and an optional peer ID, which has 46 characters or more. */
const MULTIADDR =
  /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/p2p\/[A-Za-z0-9]{46,})?$/;
/** `HOST:PORT`, `[IPV6]:PORT` or `[IPV6]`. The port is not part of an IPv6 address without brackets. */
const HOST_PORT = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::(\d{1,5}))?$/;
const DNS_NAME =
  /^(?=.{1,254}$)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*\.?$/;
/** A name without letters would be a mistyped IPv4 address. */
const HAS_LETTER = /[A-Za-z]/;

/**
 * Parses the address of a peer: `10.0.0.1`, `10.0.0.1:5001`, `[fd00::1]:5001`, `fd00::1`, `node-1:5001`, or a multiaddr. An
 * IP address without a port gets {@link DEFAULT_PORT}. A name needs its port, because a name alone may be a mistake.
 *
 * @returns the multiaddr
 * @throws Error with what is wrong and what to write
 */
export function parsePeerAddress(text: string): string {
  const address = text.startsWith('/') ? multiaddrOf(text) : hostAndPort(text);
  if (address !== undefined) return address;
  throw new Error(
    `"${text.slice(0, MAX_ADDRESS)}" is no peer address; write IP, IP:PORT, [IPV6]:PORT, NAME:PORT, or /ip4/10.0.0.1/tcp/5001, followed by /p2p/ID when the ID is known`,
  );
}

function multiaddrOf(text: string): string | undefined {
  const [, kind = '', host = '', port] = MULTIADDR.exec(text) ?? [];
  const version = isIP(host);
  const fits =
    (kind === 'ip4' && version === 4) ||
    (kind === 'ip6' && version === 6) ||
    kind.startsWith('dns');
  return fits && Number(port) <= 65_535 && text.length <= MAX_ADDRESS ? text : undefined;
}

function hostAndPort(text: string): string | undefined {
  if (isIP(text) === 6) return multiaddrOf(`/ip6/${text}/tcp/${DEFAULT_PORT}`);
  const [, v6, name = '', digits] = HOST_PORT.exec(text) ?? [];
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  if (v6 !== undefined) return multiaddrOf(`/ip6/${v6}/tcp/${port}`);
  if (isIP(name) === 4) return `/ip4/${name}/tcp/${port}`;
  const isName = digits !== undefined && DNS_NAME.test(name) && HAS_LETTER.test(name);
  return isName ? `/dns/${name}/tcp/${port}` : undefined;
}

/**
 * Parses the base URL of a peer. `HOST:PORT` without a scheme is http.
 *
 * @throws Error with what is wrong and what to write
 */
export function parseBaseUrl(text: string): string {
  if (text === '') return '';
  // The text before an @ may be a password, also when the text is no URL.
  if (text.includes('@')) {
    throw new Error('user and password do not belong in the URL; write http://HOST:PORT');
  }
  const hasPort = /:\d/.test(text) && hostAndPort(text) !== undefined && isIP(text) === 0;
  const whole = hasPort ? `http://${text}` : text;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new Error(`"${text}" is no URL; write http://HOST:PORT`);
  }
  return whole;
}
