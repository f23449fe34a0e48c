import type { Readable } from 'node:stream';

import type { IncomingHttpHeaders } from 'undici/types/header.js';

import { destroyQuietly } from '../../streams/destroy-quietly.ts';

/** Bytes of a JSON answer that are read. Tokens of some registries have 10 KiB. */
const MAX_JSON_BYTES = 64 * 1024;
/** Time for such an answer, in milliseconds. */
const JSON_MS = 5_000;
/** Characters of a registry's own words that are repeated. */
const MAX_WORDS = 200;

/** The value of a header that is there once. */
export function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? undefined : value;
}

/** Whether the answer is a page for people, as captive portals and proxies send with any status. */
export function isHtml(headers: IncomingHttpHeaders): boolean {
  return /^\s*(?:text\/html|application\/xhtml)/i.test(single(headers['content-type']) ?? '');
}

/** Ends a body that is not read. */
export function discard(body: Readable): void {
  destroyQuietly(body);
}

/** Reads a JSON object in bounded size and time; undefined for anything else. The rest of the body is given up. */
export async function readJson(body: Readable): Promise<Record<string, unknown> | undefined> {
  const timer = setTimeout(() => {
    discard(body);
  }, JSON_MS);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_JSON_BYTES) return undefined;
      chunks.push(chunk);
    }
    const json: unknown = JSON.parse(Buffer.concat(chunks).toString());
    return typeof json === 'object' && json !== null
      ? (json as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    discard(body);
  }
}

/**
 * What a registry says of an error, with a colon before it; empty when it says nothing. It is raw text of a network, so
 * only its printable characters are taken, and not many of them.
 *
 * @see OCI distribution specification, "Error codes"
 */
export async function wordsOf({
  headers,
  body,
}: {
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
}): Promise<string> {
  if (isHtml(headers)) {
    discard(body);
    return ' with an HTML page';
  }
  const json = await readJson(body);
  const errors: unknown = json?.['errors'];
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  const { code, message } = (typeof first === 'object' && first !== null ? first : {}) as Record<
    string,
    unknown
  >;
  const details: unknown = json?.['details'] ?? json?.['message'];
  const words = [code, message, ...(first === undefined ? [details] : [])]
    .filter((it) => typeof it === 'string' && it !== '')
    .join(': ');
  return words === '' ? '' : `: ${printable(words)}`;
}

function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]+/g, ' ').trim();
  return clean.length > MAX_WORDS ? `${clean.slice(0, MAX_WORDS)}...` : clean;
}
