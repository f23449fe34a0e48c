import { request as httpRequest, type ClientRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';

import type { buildConnector } from 'undici';

import { codeOf } from '../../errors/system-error.ts';
import { UpstreamError } from '../upstream-error.ts';

/** What a {@link proxyConnector} needs. */
export interface ProxyConnectorInit {
  /** The proxy for a URL; undefined for none. */
  readonly proxyFor: (url: URL) => URL | undefined;
  /** Time until the proxy has a connection with the host, in milliseconds. */
  readonly timeout: number;
}

/**
 * Makes connections through a proxy where there is one for the host, by CONNECT, also for http. The TLS of the registry goes
 * through it, so that the proxy sees no credentials of registries.
 *
 * @param direct makes the others, and the TLS
 * @see RFC 9110, section 9.3.6
 */
export function proxyConnector(
  direct: buildConnector.connector,
  { proxyFor, timeout }: ProxyConnectorInit,
): buildConnector.connector {
  return (options, callback) => {
    const { protocol, hostname } = options;
    const isSecure = protocol === 'https:';
    const port = options.port === '' ? (isSecure ? '443' : '80') : options.port;
    const host = hostname.includes(':') ? `[${hostname}]` : hostname;
    const fail = (error: unknown): void => {
      callback(error instanceof Error ? error : new Error('no connection', { cause: error }), null);
    };
    let proxy: URL | undefined;
    try {
      proxy = proxyFor(new URL(`${protocol}//${host}:${port}`));
    } catch (error) {
      // The message has no password; the variable may.
      fail(
        new UpstreamError('connect', error instanceof Error ? error.message : 'no usable proxy'),
      );
      return;
    }
    if (proxy === undefined) {
      direct(options, callback);
      return;
    }
    tunnel(proxy, `${host}:${port}`, timeout).then((socket) => {
      if (isSecure) direct({ ...options, httpSocket: socket }, callback);
      else callback(null, socket);
    }, fail);
  };
}

/** @throws UpstreamError `connect` when the proxy gives no connection */
async function tunnel(proxy: URL, target: string, timeout: number): Promise<Socket> {
  const failed = (why: string, cause?: unknown): UpstreamError =>
    new UpstreamError(
      'connect',
      `${target}: no connection through the proxy ${proxy.host} (${why})`,
      {
        cause,
      },
    );
  const { username, password } = proxy;
  const user = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
  const make = proxy.protocol === 'https:' ? httpsRequest : httpRequest;
  const opened = Promise.withResolvers<Socket>();
  const connecting: ClientRequest = make({
    host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: proxy.port === '' ? (proxy.protocol === 'https:' ? 443 : 80) : Number(proxy.port),
    method: 'CONNECT',
    path: target,
    headers: {
      host: target,
      ...(username !== '' && { 'proxy-authorization': `Basic ${user.toString('base64')}` }),
    },
    agent: false,
  });
  connecting
    .on('connect', ({ statusCode = 0 }, socket, head) => {
      if (statusCode === 200 && head.length === 0) {
        opened.resolve(socket);
        return;
      }
      socket.destroy();
      // A server that speaks first is none of HTTP.
      opened.reject(failed(statusCode === 200 ? 'unexpected bytes' : `status ${statusCode}`));
    })
    .on('response', ({ statusCode = 0 }) => {
      connecting.destroy();
      opened.reject(failed(`status ${statusCode}`));
    })
    .on('error', (error) => {
      opened.reject(failed(codeOf(error) ?? 'unknown', error));
    })
    .end();
  const timer = setTimeout(() => {
    opened.reject(failed('no answer in time'));
    connecting.destroy();
  }, timeout);
  try {
    return await opened.promise;
  } finally {
    clearTimeout(timer);
  }
}
