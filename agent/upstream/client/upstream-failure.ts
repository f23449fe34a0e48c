import type { Readable } from 'node:stream';

import { errors, type Dispatcher } from 'undici';

import { codeOf, hasCode } from '../../errors/system-error.ts';
import { PeerError } from '../../transfer/client/peer-error.ts';
import { UpstreamError, type UpstreamFailure } from '../upstream-error.ts';
import { single, wordsOf } from './answer-text.ts';

/** Longest time for which a registry is left alone, in milliseconds. */
const MAX_RETRY_AFTER_MS = 3_600_000;

const REASONS: Readonly<Record<number, UpstreamFailure>> = {
  401: 'denied',
  403: 'denied',
  404: 'not-found',
  416: 'range',
  429: 'limited',
};

const NO_CONNECTION = [
  ...[
    'ECONNREFUSED',
    'EHOSTUNREACH',
    'EHOSTDOWN',
    'ENETUNREACH',
    'ENETDOWN',
    'ETIMEDOUT',
    'ENOTFOUND',
  ],
  ...['EAI_AGAIN', 'EAI_FAIL', 'EADDRNOTAVAIL', 'UND_ERR_CONNECT_TIMEOUT'],
] as const;

/** Codes of OpenSSL for a certificate that is not accepted have no common form. */
const TLS_CODE = /CERT|SIGNATURE|ISSUER|^ERR_SSL|^ERR_TLS|^EPROTO/;

/** Makes an {@link UpstreamError} of whatever a request or a body failed with. */
export function toUpstreamError(
  error: unknown,
  fallback: UpstreamFailure,
  host: string,
): UpstreamError {
  if (error instanceof UpstreamError) return error;
  if (error instanceof PeerError) return ofMoved(error, host);
  const code = codeOf(error) ?? 'unknown';
  const because = (reason: UpstreamFailure, what: string): UpstreamError =>
    new UpstreamError(reason, `${host}: ${what}`, { cause: error });
  if (hasCode(error, 'ERR_FORBIDDEN_ADDRESS')) {
    return because('redirect', 'names a host at an address that is not asked');
  }
  if (hasCode(error, ...NO_CONNECTION)) return because('connect', `no connection (${code})`);
  if (TLS_CODE.test(code)) return because('connect', `TLS failed (${code})`);
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) {
    return because('timeout', 'no more bytes in time');
  }
  if (error instanceof Error && error.name === 'TimeoutError')
    return because('timeout', 'no answer in time');
  if (code.startsWith('HPE_') || error instanceof errors.HeadersOverflowError) {
    return because('protocol', 'no HTTP/1.1');
  }
  return because(fallback, `the connection broke (${code})`);
}

/** Blobs come by the client that peers are asked with. */
function ofMoved(error: PeerError, host: string): UpstreamError {
  const { reason, message } = error;
  const known = (['connect', 'timeout', 'protocol', 'digest'] as const).find((it) => it === reason);
  return new UpstreamError(known ?? 'body', `${host}: ${message}`, { cause: error });
}

/** Makes an {@link UpstreamError} of an answer that is none with content. Reads what the registry says of it. */
export async function failureOf(
  answer: Pick<Dispatcher.ResponseData, 'statusCode' | 'headers'> & { readonly body: Readable },
  host: string,
): Promise<UpstreamError> {
  const { statusCode, headers } = answer;
  const message = `${host} answers ${statusCode}${await wordsOf(answer)}`;
  const retryAfter = retryAfterOf(single(headers['retry-after']));
  const reason = REASONS[statusCode] ?? 'status';
  const isLater = statusCode === 429 || statusCode === 503;
  return new UpstreamError(reason, message, {
    status: statusCode,
    ...(isLater && { retryAfter }),
  });
}

/** @see RFC 9110, section 10.2.3 */
function retryAfterOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS);
}
