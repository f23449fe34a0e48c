/** An interval of bytes, both ends included, as in `Content-Range`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A parsed `Range` header. The length of the content is not known yet. */
export type RangeRequest =
  | { readonly kind: 'from'; readonly start: number }
  | { readonly kind: 'between'; readonly start: number; readonly end: number }
  | { readonly kind: 'last'; readonly length: number };

const SINGLE_RANGE = /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/;

/**
 * Parses a `Range` header of one range: `bytes=N-`, `bytes=N-M` or `bytes=-N`.
 *
 * Any other value, such as several ranges, gives `undefined` and is to be ignored: RFC 9110, section 14.2, lets a
 * server answer 200 with the whole content to a range that it does not support.
 */
export function parseRange(header: string | undefined): RangeRequest | undefined {
  const match = SINGLE_RANGE.exec(header?.trim() ?? '');
  if (match === null) return undefined;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) return { kind: 'last', length: Number(suffix) };
  const start = Number(first);
  if (last === undefined) return { kind: 'from', start };
  const end = Number(last);
  return end < start ? undefined : { kind: 'between', start, end };
}

/**
 * Resolves a range against content of `size` bytes.
 *
 * @returns the interval to send, or `undefined` when none of it exists (status 416; RFC 9110, section 14.1.2)
 */
export function resolveRange(request: RangeRequest, size: number): ByteRange | undefined {
  switch (request.kind) {
    case 'from':
      return request.start < size ? { start: request.start, end: size - 1 } : undefined;
    case 'between':
      return request.start < size
        ? { start: request.start, end: Math.min(request.end, size - 1) }
        : undefined;
    case 'last':
      return request.length === 0 || size === 0
        ? undefined
        : { start: Math.max(0, size - request.length), end: size - 1 };
  }
}

/** Number of bytes in the interval. */
export function rangeLength(range: ByteRange): number {
  return range.end - range.start + 1;
}

/** The value of a `Range` header, as {@link parseRange} parses it. */
export function formatRange(range: RangeRequest): string {
  switch (range.kind) {
    case 'from':
      return `bytes=${range.start}-`;
    case 'between':
      return `bytes=${range.start}-${range.end}`;
    case 'last':
      return `bytes=-${range.length}`;
  }
}

/** A parsed `Content-Range`; `size` is `undefined` where the sender wrote `*`. */
export interface ContentRange extends ByteRange {
  readonly size: number | undefined;
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/;

/** Parses `Content-Range: bytes N-M/SIZE`; `undefined` when it is not well-formed or contradicts itself. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = CONTENT_RANGE.exec(header ?? '');
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]);
  const size = match[3] === '*' ? undefined : Number(match[3]);
  if (end < start || (size !== undefined && end >= size)) return undefined;
  return { start, end, size };
}
