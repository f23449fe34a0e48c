/**
 * Every error that the mirror answers with, once: the code of the specification, the HTTP status it goes
 * with, and what it says to people. The two codes of requests that cannot be read are our own.
 *
 * 408 and 429 are absent on purpose: containerd repeats a request five or six times without pause on
 * either, where any of these sends it on to the next host at once.
 *
 * @see OCI distribution specification, "Error codes"
 */
const OCI_ERRORS = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown to registry' },
  NAME_UNKNOWN: { status: 404, message: 'no such endpoint' },
  NAME_INVALID: { status: 400, message: 'invalid repository or registry name' },
  TAG_INVALID: { status: 400, message: 'invalid tag' },
  DIGEST_INVALID: { status: 400, message: 'invalid digest' },
  REQUEST_INVALID: { status: 400, message: 'malformed HTTP request' },
  REQUEST_TOO_LARGE: { status: 431, message: 'HTTP request head too large' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
  RANGE_INVALID: { status: 416, message: 'invalid content range' },
  UNAVAILABLE: { status: 503, message: 'the mirror cannot answer at present' },
  UNKNOWN: { status: 500, message: 'unknown error' },
} as const satisfies Record<string, { status: number; message: string }>;

/** A code of {@link OCI_ERRORS}. */
export type OciErrorCode = keyof typeof OCI_ERRORS;

/** An error that knows how it is told to an OCI client. */
export class OciError extends Error {
  override readonly name = 'OciError';
  readonly code: OciErrorCode;
  /** What exactly, for people; never a secret, never raw input of more than a name's length. */
  readonly detail: string;

  constructor(code: OciErrorCode, detail: string, options?: ErrorOptions) {
    super(`${OCI_ERRORS[code].message}: ${detail}`, options);
    this.code = code;
    this.detail = detail;
  }

  get status(): number {
    return OCI_ERRORS[this.code].status;
  }

  /** The response body in the form of the specification. */
  toBody(): string {
    const { message } = OCI_ERRORS[this.code];
    return JSON.stringify({ errors: [{ code: this.code, message, detail: this.detail }] });
  }
}
