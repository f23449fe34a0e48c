import { isLocalRegistry, DOCKER_HUB_HOST, type Endpoint } from './registries.ts';
import { nearestWord } from './words.ts';

/** Why an endpoint cannot be used as it is written, and how it would be right. */
export interface EndpointProblem {
  readonly severity: 'error' | 'warning';
  readonly code: string;
  readonly message: string;
  /** The whole endpoint, mended. */
  readonly mended?: string;
}

/** Longest endpoint that is read, in characters. */
const MAX_ENDPOINT = 1024;

/**
 * Reads an endpoint as k3s does: without scheme it is https, or http for a port of this node; a path other
 * than `/v2` is taken as it is.
 *
 * @see k3s pkg/agent/containerd/config.go, normalizeEndpointAddress
 */
export function readEndpoint(written: string): {
  endpoint?: Endpoint;
  problems: EndpointProblem[];
} {
  const problems: EndpointProblem[] = [];
  let text = written.trim();
  if (text === '' || text.length > MAX_ENDPOINT || /\s/.test(text)) {
    const message = 'an endpoint is written http://HOST:PORT or https://HOST';
    return { problems: [{ severity: 'error', code: 'invalid-endpoint', message }] };
  }
  const [, scheme] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text) ?? [];
  if (scheme === undefined) {
    const bare = text.replace(/^(?:https?)?:?\/*(?=[^/])/i, '');
    text = `${defaultScheme(bare)}://${bare}`;
    const message = `the endpoint has no scheme, http:// or https://; k3s takes it as ${defaultScheme(bare)}`;
    problems.push({ severity: 'error', code: 'no-scheme', message, mended: text });
  } else if (!/^https?$/.test(scheme)) {
    const meant = nearestWord(scheme, ['https', 'http']) ?? 'https';
    text = meant + text.slice(scheme.length);
    const message = 'an endpoint is asked by http:// or https://, by no other scheme';
    problems.push({ severity: 'error', code: 'wrong-scheme', message, mended: text });
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const [, authority = '', path = '', extra = ''] =
    /^https?:\/\/([^/?#]*)([^?#]*)(.*)$/.exec(text) ?? [];
  if (url === undefined || authority === '') {
    const message = 'this is no URL; an endpoint is written http://HOST:PORT or https://HOST';
    problems.push({ severity: 'error', code: 'invalid-endpoint', message });
    return { problems };
  }
  const host = authority.slice(authority.lastIndexOf('@') + 1).toLowerCase();
  const plain = `${url.protocol}//${host}${path}`;
  if (host !== authority.toLowerCase()) {
    const message =
      'user and password do not belong into an endpoint; they stand under configs, as auth';
    problems.push({ severity: 'error', code: 'credentials-in-endpoint', message, mended: plain });
  }
  if (extra !== '') {
    const message = 'an endpoint has no query and no fragment';
    problems.push({ severity: 'error', code: 'invalid-endpoint', message, mended: plain });
  }
  const overridesPath = !/^(?:\/|\/v2\/?)?$/.test(path);
  if (overridesPath && !path.split('/').includes('v2')) {
    const message =
      'k3s takes a path as it is, in the place of /v2; most registries want /v2 at its start';
    const mended = `${url.protocol}//${host}/v2${path}`;
    problems.push({ severity: 'warning', code: 'path-without-v2', message, mended });
  }
  const real = host === 'docker.io' ? DOCKER_HUB_HOST : host;
  return {
    problems,
    endpoint: {
      url: `${url.protocol}//${real}${overridesPath ? path : ''}`,
      host: real === DOCKER_HUB_HOST ? 'docker.io' : host,
      overridesPath,
    },
  };
}

function defaultScheme(hostAndPath: string): 'http' | 'https' {
  const host = hostAndPath.replace(/[/?#].*$/, '');
  const port = /:(\d+)$/.exec(host)?.[1];
  return isLocalRegistry(host) && port !== undefined && port !== '443' ? 'http' : 'https';
}
