import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';

/** Fields of a signature (RFC 9421, sections 4.1 and 4.2). */
export const SIGNATURE_INPUT_HEADER = 'signature-input';
export const SIGNATURE_HEADER = 'signature';
/** The time of the node that refuses a signature because of its time, in seconds since 1970. */
export const TIME_HEADER = 'x-peerglass-time';

/** The label of our signature among others. */
const LABEL = 'peerglass';

/**
 * Fields of an answer that are signed where they are there: all from which the asker learns something. The body is not:
 * its digest is.
 */
const ANSWER_FIELDS = [
  'content-length',
  'content-type',
  'content-range',
  'docker-content-digest',
  'retry-after',
  'x-peerglass-load',
  'x-peerglass-zone',
  'x-peerglass-alternatives',
  'x-peerglass-wrong',
  TIME_HEADER,
] as const;

const REQUEST_INPUT =
  /^peerglass=\("@method" "@path" "@query"( "range")?\);created=(\d{1,12});keyid="([1-9A-HJ-NP-Za-km-z]{40,64})";nonce="([A-Za-z0-9_-]{12})\.(\d{1,15})"$/;
const SIGNATURE_VALUE = /^peerglass=:([A-Za-z0-9+/]{43}=):$/;

/** The parts of a request that are signed. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query, as they are sent. */
  readonly target: string;
  /** The `Range` field; undefined without one. */
  readonly range: string | undefined;
}

/** Parameters of the signature of a request. */
export interface RequestParameters {
  /** Seconds since 1970 on the clock of the signer, or on that of the peer as far as the signer knows. */
  readonly created: number;
  /** Peer ID of the signer. */
  readonly keyId: string;
  readonly noncePrefix: string;
  /** Never twice with the same prefix. */
  readonly counter: number;
}

/** Gives the value of a field by its name in lower case. */
export type FieldReader = (name: string) => string | undefined;

/** The value of `Signature-Input` of a request, without the label. */
export function formatRequestInput(
  { range }: SignedRequest,
  { created, keyId, noncePrefix, counter }: RequestParameters,
): string {
  const fields = range === undefined ? '' : ' "range"';
  return `("@method" "@path" "@query"${fields});created=${created};keyid="${keyId}";nonce="${noncePrefix}.${counter}"`;
}

/**
 * Parses `Signature-Input` of a request. Only what {@link formatRequestInput} makes is accepted: what is not signed
 * must not be believed.
 *
 * @returns undefined for anything else
 */
export function parseRequestInput(
  text: string,
  { range }: SignedRequest,
): RequestParameters | undefined {
  const [, hasRange, created, keyId = '', noncePrefix = '', counter] =
    REQUEST_INPUT.exec(text) ?? [];
  if (created === undefined || (hasRange !== undefined) !== (range !== undefined)) return undefined;
  return { created: Number(created), keyId, noncePrefix, counter: Number(counter) };
}

/** The text that the signature of a request is over (RFC 9421, section 2.5). */
export function requestBase({ method, target, range }: SignedRequest, input: string): string {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '?' : target.slice(mark);
  const rangeLine = range === undefined ? '' : `"range": ${range}\n`;
  return `"@method": ${method}\n"@path": ${path}\n"@query": ${query}\n${rangeLine}"@signature-params": ${input}`;
}

/**
 * The value of `Signature-Input` of an answer, without the label, and the text that its signature is over. The signature
 * of the request is among it, so that an answer to another request is no answer to this one.
 *
 * @param requestSignature the field `Signature` of the request
 * @param keyId peer ID of who answers
 */
export function answerBase(
  status: number,
  read: FieldReader,
  requestSignature: string,
  keyId: string,
): { readonly input: string; readonly base: string } {
  let names = '"@status"';
  let lines = `"@status": ${status}\n`;
  for (const name of ANSWER_FIELDS) {
    const value = read(name);
    if (value === undefined) continue;
    names += ` "${name}"`;
    lines += `"${name}": ${value}\n`;
  }
  const input = `(${names} "signature";req);keyid="${keyId}"`;
  return {
    input,
    base: `${lines}"signature";req: ${requestSignature}\n"@signature-params": ${input}`,
  };
}

/** The two fields of a signature over the text. */
export function signatureFields(
  input: string,
  base: string,
  key: KeyObject,
): Readonly<Record<typeof SIGNATURE_INPUT_HEADER | typeof SIGNATURE_HEADER, string>> {
  return {
    [SIGNATURE_INPUT_HEADER]: `${LABEL}=${input}`,
    [SIGNATURE_HEADER]: `${LABEL}=:${mac(base, key).toString('base64')}:`,
  };
}

/** The parameters in a field `Signature-Input`: without the label. */
export function withoutLabel(field: string): string {
  return field.slice(LABEL.length + 1);
}

/** Whether a field `Signature` has the signature over the text; in constant time. */
export function isSignatureOf(field: string | undefined, base: string, key: KeyObject): boolean {
  const [, value] = SIGNATURE_VALUE.exec(field ?? '') ?? [];
  if (value === undefined) return false;
  const given = Buffer.from(value, 'base64');
  const expected = mac(base, key);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** HMAC with SHA-256 (`hmac-sha256` of RFC 9421, section 3.3.3). */
function mac(base: string, key: KeyObject): Buffer {
  return createHmac('sha256', key).update(base, 'latin1').digest();
}
