import { OciError, type OciErrorCode } from '../oci/errors.ts';
import type { ContentRequest } from '../oci/content-request.ts';

/** Why a registry did not deliver; a label of `peerglass_upstream_failures_total`. */
export type UpstreamFailure =
  | 'connect'
  | 'timeout'
  | 'not-found'
  | 'denied'
  | 'limited'
  | 'status'
  | 'range'
  | 'length'
  | 'redirect'
  | 'token'
  | 'protocol'
  | 'digest'
  | 'body';

/** What is known of a failure beside its reason. */
export interface UpstreamErrorInit extends ErrorOptions {
  /** How long the registry wants to be left alone, in milliseconds. */
  readonly retryAfter?: number | undefined;
  /** The HTTP status that it answered with. */
  readonly status?: number;
}

/** The codes that clients get. 429 has none: containerd would repeat the request at once, see `OCI_ERRORS`. */
const CODES: Readonly<Partial<Record<UpstreamFailure, OciErrorCode>>> = {
  denied: 'DENIED',
  limited: 'TOOMANYREQUESTS',
  range: 'RANGE_INVALID',
};

/** A registry did not deliver. The message has its own words, without secrets and in bounded length. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly code = 'ERR_UPSTREAM';
  readonly reason: UpstreamFailure;
  /** See {@link UpstreamErrorInit.retryAfter}. */
  readonly retryAfter: number | undefined;
  /** See {@link UpstreamErrorInit.status}. */
  readonly status: number | undefined;

  constructor(reason: UpstreamFailure, message: string, init: UpstreamErrorInit = {}) {
    super(message, init);
    this.reason = reason;
    this.retryAfter = init.retryAfter;
    this.status = init.status;
  }

  /** What the client of the mirror gets: the registry's reason, at which containerd goes to its next host. */
  toOciError({ kind, registry }: Pick<ContentRequest, 'kind' | 'registry'>): OciError {
    const unknown = kind === 'manifest' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN';
    // containerd asks the registry itself for what has no length.
    const isUnknown = this.reason === 'not-found' || this.reason === 'length';
    const code = isUnknown ? unknown : (CODES[this.reason] ?? 'UNAVAILABLE');
    return new OciError(code, `${registry}: ${this.message}`, { cause: this });
  }
}
