import { isLocalRegistry, DOCKER_HUB_HOST, type Endpoint } from './registries.ts';
import { nearestWord } from './words.ts';

/** A problem of an endpoint as it is written, and the correction. */
export interface EndpointProblem {
  readonly severity: 'error' | 'warning';
  readonly code: string;
  readonly message: string;
  /** The whole endpoint with the correction. */
  readonly corrected?: string;
}

/** Maximum length of an endpoint, in characters. */
const MAX_ENDPOINT = 1024;

/**
 * Parses an endpoint as k3s does. Without a scheme it is https, or http for a port of this node. A path other than `/v2`
 * is kept.
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
    const message = `the endpoint has no scheme, http:// or https://; k3s assumes ${defaultScheme(bare)}`;
    problems.push({ severity: 'error', code: 'no-scheme', message, corrected: text });
  } else if (!/^https?$/.test(scheme)) {
    const meant = nearestWord(scheme, ['https', 'http']) ?? 'https';
    text = meant + text.slice(scheme.length);
    const message = 'the scheme of an endpoint must be http:// or https://';
    problems.push({ severity: 'error', code: 'wrong-scheme', message, corrected: text });
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const [, authority = '', path = '', extra = ''] =
    /^https?:\/\/([^/?#]*)([^?#]*)(.*)$/.exec(text) ?? [];
  if (url === undefined || authority === '') {
    const message = 'not a URL; an endpoint is written http://HOST:PORT or https://HOST';
    problems.push({ severity: 'error', code: 'invalid-endpoint', message });
    return { problems };
  }
  const host = authority.slice(authority.lastIndexOf('@') + 1).toLowerCase();
  const plain = `${url.protocol}//${host}${path}`;
  if (host !== authority.toLowerCase()) {
    const message = 'an endpoint has no user and password; write them under configs, as auth';
    problems.push({
      severity: 'error',
      code: 'credentials-in-endpoint',
      message,
      corrected: plain,
    });
  }
  if (extra !== '') {
    const message = 'an endpoint has no query and no fragment';
    problems.push({ severity: 'error', code: 'invalid-endpoint', message, corrected: plain });
  }
  const overridesPath = !/^(?:\/|\/v2\/?)?$/.test(path);
  if (overridesPath && !path.split('/').includes('v2')) {
    const message = 'k3s uses this path instead of /v2; most registries need /v2 at its start';
    const corrected = `${url.protocol}//${host}/v2${path}`;
    problems.push({ severity: 'warning', code: 'path-without-v2', message, corrected });
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
