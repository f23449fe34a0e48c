/**
 * All errors that the mirror answers with: the code of the specification, its HTTP status, and a message for people.
 * `REQUEST_INVALID` and `REQUEST_TOO_LARGE` are our own, for requests that cannot be parsed.
 *
 * 408 and 429 are absent on purpose. After either, containerd repeats a request five or six times without pause. After
 * any status of this table it goes to the next host at once. So `TOOMANYREQUESTS`, with which a registry limits this node,
 * has another status than at that registry.
 *
 * @see OCI distribution specification, "Error codes"
 */
const OCI_ERRORS = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown to registry' },
  NAME_UNKNOWN: { status: 404, message: 'no such endpoint' },
  NAME_INVALID: { status: 400, message: 'invalid repository or registry name' },
  DIGEST_INVALID: { status: 400, message: 'invalid digest' },
  REQUEST_INVALID: { status: 400, message: 'malformed HTTP request' },
  REQUEST_TOO_LARGE: { status: 431, message: 'HTTP request head too large' },
  UNAUTHORIZED: { status: 401, message: 'authentication required' },
  DENIED: { status: 403, message: 'requested access to the resource is denied' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
  RANGE_INVALID: { status: 416, message: 'invalid content range' },
  TOOMANYREQUESTS: { status: 503, message: 'too many requests' },
  UNAVAILABLE: { status: 503, message: 'the mirror cannot answer at present' },
  UNKNOWN: { status: 500, message: 'unknown error' },
} as const satisfies Record<string, { status: number; message: string }>;

/** A code of {@link OCI_ERRORS}. */
export type OciErrorCode = keyof typeof OCI_ERRORS;

/** An error with its answer to an OCI client. */
export class OciError extends Error {
  override readonly name = 'OciError';
  readonly code: OciErrorCode;
  /** Details for people. Never a secret, and never raw input that is longer than a name. */
  readonly detail: string;

  constructor(code: OciErrorCode, detail: string, options?: ErrorOptions) {
    super(`${OCI_ERRORS[code].message}: ${detail}`, options);
    this.code = code;
    this.detail = detail;
  }

  get status(): number {
    return OCI_ERRORS[this.code].status;
  }

  /** The body of the answer, in the form of the specification. */
  toBody(): string {
    const { message } = OCI_ERRORS[this.code];
    return JSON.stringify({ errors: [{ code: this.code, message, detail: this.detail }] });
  }
}
