import type { IncomingHttpHeaders } from 'undici/types/header.js';

import {
  parseContentRange,
  rangeLength,
  resolveRange,
  type ByteRange,
  type RangeRequest,
} from '../../oci/byte-range.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest, type Digest } from '../../oci/digest.ts';
import { MEDIA_TYPE, isManifestType } from '../../oci/media-type.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { PeerError } from './peer-error.ts';
import { parseReport } from './peer-report.ts';

/** The head of a peer's answer, after it was checked against the request. */
export interface PeerHead {
  readonly descriptor: Descriptor;
  /** The range of the content that the body holds; `{start: 0, end: -1}` of an empty blob. */
  readonly range: ByteRange;
}

/**
 * Checks the head of a peer's answer against the request. A wrong offset or length would put wrong bytes into
 * containerd's ingest, and no resume could repair that.
 *
 * @param asked the range that was requested
 * @throws PeerError that names the mismatch
 */
export function checkHead(
  request: ContentRequest,
  asked: RangeRequest | undefined,
  status: number,
  headers: IncomingHttpHeaders,
): PeerHead {
  if (status === 404) throw new PeerError('not-found', 'peer does not hold it');
  if (status === 416) throw refusedRange(asked, headers);
  // A 503 without Retry-After comes from a peer that cannot reach its containerd, or from another program.
  if (status === 503 && parseReport(headers).retryLater)
    throw new PeerError('busy', 'peer is busy');
  if (status !== 200 && status !== 206) throw new PeerError('status', `status ${status}`);

  const encoding = single(headers['content-encoding']) ?? 'identity';
  if (encoding !== 'identity') throw new PeerError('protocol', 'body is encoded');

  const { range, size } = checkLength(asked, status, headers);
  return {
    descriptor: {
      mediaType: mediaTypeOf(request, headers),
      digest: digestOf(request, headers),
      size,
    },
    range,
  };
}

/** A 416 is accepted when a range was requested that does not exist in content of the length that comes with it. */
function refusedRange(asked: RangeRequest | undefined, headers: IncomingHttpHeaders): PeerError {
  const [, size] = /^bytes \*\/(\d{1,15})$/.exec(single(headers['content-range']) ?? '') ?? [];
  const agrees =
    asked !== undefined && size !== undefined && resolveRange(asked, Number(size)) === undefined;
  return agrees
    ? new PeerError('range', 'the range is not satisfiable')
    : new PeerError('protocol', 'refuses a range without reason');
}

function checkLength(
  asked: RangeRequest | undefined,
  status: number,
  headers: IncomingHttpHeaders,
): { range: ByteRange; size: number } {
  const text = single(headers['content-length']) ?? '';
  const length = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  if (length === undefined) throw new PeerError('protocol', 'no usable Content-Length');

  if (status === 200) {
    const whole = { start: 0, end: length - 1 };
    const expected = asked === undefined || length === 0 ? whole : resolveRange(asked, length);
    if (expected?.start !== whole.start || expected.end !== whole.end) {
      throw new PeerError('protocol', 'whole content in answer to a range');
    }
    return { range: whole, size: length };
  }

  const content = parseContentRange(single(headers['content-range']));
  if (content?.size === undefined) throw new PeerError('protocol', 'no usable Content-Range');
  const expected = asked === undefined ? undefined : resolveRange(asked, content.size);
  if (expected?.start !== content.start || expected.end !== content.end) {
    throw new PeerError('protocol', 'another range than the one asked for');
  }
  if (length !== rangeLength(expected)) {
    throw new PeerError('protocol', 'Content-Length and Content-Range disagree');
  }
  return { range: expected, size: content.size };
}

function digestOf(request: ContentRequest, headers: IncomingHttpHeaders): Digest {
  const claimed = single(headers['docker-content-digest']);
  if (request.digest !== undefined) {
    if (claimed !== undefined && claimed !== request.digest) {
      throw new PeerError('protocol', 'another digest than the one asked for');
    }
    return request.digest;
  }
  const digest = parseDigest(claimed ?? '');
  if (digest === undefined) throw new PeerError('protocol', 'a tag without a valid digest');
  return digest;
}

function mediaTypeOf(request: ContentRequest, headers: IncomingHttpHeaders): string {
  if (request.kind === 'blob') return MEDIA_TYPE.binary;
  const [stated = ''] = (single(headers['content-type']) ?? '').split(';');
  const mediaType = stated.trim().toLowerCase();
  if (!isManifestType(mediaType)) throw new PeerError('protocol', 'not the type of a manifest');
  return mediaType;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? undefined : value;
}
