import type { IncomingHttpHeaders } from 'undici/types/header.js';

import { PeerError } from '../peer-error.ts';

/** The head of an HTTP/1.1 response, parsed. */
export interface ResponseHead {
  readonly statusCode: number;
  /** Values by lower-case name; a list where a field is repeated. */
  readonly headers: IncomingHttpHeaders;
  /** Whether the connection may be used again after the body. */
  readonly keepAlive: boolean;
  /** Bytes of the body; `undefined` without exactly one plain `Content-Length`, which ends the connection. */
  readonly length: number | undefined;
  /** Whether the body lasts as long as the connection, as one in chunks or without any length. */
  readonly isUnsized: boolean;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

/**
 * Parses a head strictly: another program might read a malformed head differently.
 *
 * @param text the head without the empty line at its end
 * @param takesUnsized whether the answer may have a body of unknown length, plain or in chunks. Otherwise one in chunks is refused,
 *   and nothing is read of any other
 * @throws PeerError `protocol`
 * @see RFC 9112, sections 4 to 6
 */
export function parseResponseHead(text: string, takesUnsized = false): ResponseHead {
  const [first = '', ...lines] = text.split('\r\n');
  const [, minor, status] = STATUS_LINE.exec(first) ?? [];
  if (status === undefined) throw new PeerError('protocol', 'not a status line of HTTP/1');
  const headers: Record<string, string | string[]> = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const [, name, value] = FIELD_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new PeerError('protocol', 'malformed header');
    }
    const key = name.toLowerCase();
    const before = headers[key];
    // No copy of the list for each line: a peer may send one field thousands of times.
    if (Array.isArray(before)) before.push(value);
    else headers[key] = before === undefined ? value : [before, value];
  }
  const statusCode = Number(status);
  const stated = headers['content-length'];
  const coding = headers['transfer-encoding'];
  const hasBody = statusCode >= 200 && ![204, 304].includes(statusCode);
  const plain =
    hasBody && coding === undefined && typeof stated === 'string' && /^\d{1,15}$/.test(stated);
  const isChunked = minor === '1' && typeof coding === 'string' && /^chunked$/i.test(coding);
  const isUnsized =
    takesUnsized && hasBody && stated === undefined && (coding === undefined || isChunked);
  if (coding !== undefined && !isUnsized && (statusCode < 300 || takesUnsized)) {
    throw new PeerError('protocol', 'a transfer encoding, so a body of unknown length');
  }
  const connection = [headers['connection'] ?? ''].flat().join().toLowerCase();
  return {
    statusCode,
    headers,
    keepAlive: minor === '1' && !/\bclose\b/.test(connection),
    length: plain ? Number(stated) : undefined,
    isUnsized,
  };
}
