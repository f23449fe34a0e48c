import type { Readable } from 'node:stream';

import {
  formatRange,
  parseContentRange,
  rangeLength,
  resolveRange,
  type ByteRange,
  type RangeRequest,
} from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { UpstreamEndpoint } from '../where/upstream-endpoints.ts';
import { discard, isHtml, single } from './answer-text.ts';
import type { RegistryAnswer, RegistryClient } from './registry-client.ts';

/** A blob, or a part of it, that has begun to arrive. */
export interface BlobAnswer {
  /** Of the whole blob, in bytes. */
  readonly size: number;
  /** What the body has; `{start: 0, end: -1}` of an empty blob. It may be more than was asked for. */
  readonly range: ByteRange;
  readonly body: Readable;
  /** The host that sends it. */
  readonly host: string;
}

/** The answer for a whole blob, without its length: nothing tells whether the body has ended or broken off. */
export interface UnsizedAnswer extends Pick<BlobAnswer, 'body' | 'host'> {
  readonly size?: undefined;
}

/** Which blob is asked for. */
export interface BlobRequest {
  readonly endpoint: UpstreamEndpoint;
  /** As the endpoint calls it. */
  readonly repository: string;
  readonly digest: Digest;
}

/**
 * As {@link openBlob}, for a blob whose size has to be known.
 *
 * @throws UpstreamError `length` when the registry does not state it
 */
export async function fetchBlob(
  client: Pick<RegistryClient, 'fetch'>,
  request: BlobRequest,
  asked: RangeRequest | undefined,
  signal: AbortSignal,
): Promise<BlobAnswer> {
  const answer = await openBlob(client, request, asked, signal);
  if (answer.size !== undefined) return answer;
  discard(answer.body);
  throw unsized(answer.host);
}

/** The failure of a registry that sends a blob in chunks. */
export function unsized(host: string): UpstreamError {
  return new UpstreamError('length', `${host} answers with a body of unknown length`);
}

/**
 * Asks a registry for a blob, and checks the head of the answer: a wrong offset would put wrong bytes into the file of
 * the client.
 *
 * @param asked which part is wanted. Default: all
 * @throws UpstreamError
 */
export async function openBlob(
  client: Pick<RegistryClient, 'fetch'>,
  { endpoint, repository, digest }: BlobRequest,
  asked: RangeRequest | undefined,
  signal: AbortSignal,
): Promise<BlobAnswer | UnsizedAnswer> {
  // containerd asks for `bytes=0-` of everything, also of empty blobs, at which some registries answer 416.
  const isAll = asked === undefined || (asked.kind === 'from' && asked.start === 0);
  const range = isAll ? undefined : formatRange(asked);
  const answer = await client.fetch(
    endpoint,
    { method: 'GET', repository, path: `blobs/${digest}`, accept: '*/*', range, isBlob: true },
    signal,
  );
  const { body, host } = answer;
  try {
    const head = checkHead(answer, asked);
    return head === 'unsized' ? { body, host } : { ...head, body, host };
  } catch (error) {
    discard(body);
    throw error;
  }
}

/**
 * The size of a blob. It is asked for by a GET of its first byte: the addresses of storage are often signed for GET only.
 *
 * @throws UpstreamError
 */
export async function blobSize(
  client: Pick<RegistryClient, 'fetch'>,
  request: BlobRequest,
  signal: AbortSignal,
): Promise<number> {
  const first = { kind: 'between', start: 0, end: 0 } as const;
  const { size, body } = await fetchBlob(client, request, first, signal).catch((error: unknown) => {
    // An empty blob has no first byte.
    if (!(error instanceof UpstreamError) || error.reason !== 'range') throw error;
    return fetchBlob(client, request, undefined, signal);
  });
  discard(body);
  return size;
}

/** @throws UpstreamError `protocol` for an answer that is not that to the request */
function checkHead(
  { statusCode, headers, host }: RegistryAnswer,
  asked: RangeRequest | undefined,
): Pick<BlobAnswer, 'size' | 'range'> | 'unsized' {
  const wrong = (what: string): UpstreamError =>
    new UpstreamError('protocol', `${host} answers with ${what}`);
  if (isHtml(headers)) throw wrong('an HTML page: a captive portal or a proxy may be in between');
  if ((single(headers['content-encoding']) ?? 'identity') !== 'identity')
    throw wrong('an encoded body');
  const text = single(headers['content-length']) ?? '';
  const length = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  if (statusCode === 200) {
    // All of it, also where a part was asked for: RFC 9110, section 14.2, allows that.
    if (length === undefined) return 'unsized';
    return { size: length, range: { start: 0, end: length - 1 } };
  }
  const content = parseContentRange(single(headers['content-range']));
  if (content?.size === undefined) throw wrong('no usable Content-Range');
  const expected = asked && resolveRange(asked, content.size);
  if (expected?.start !== content.start || expected.end !== content.end) {
    throw wrong('another range than the one that was asked for');
  }
  if (length !== undefined && length !== rangeLength(expected)) {
    throw wrong('a Content-Length and a Content-Range that disagree');
  }
  return { size: content.size, range: expected };
}
