import type { IncomingMessage } from 'node:http';

import { writeError } from '../http/error-answer.ts';
import type { LabelledHandler } from '../http/instrument.ts';
import { OciError } from '../oci/errors.ts';

/** Who is admitted by {@link requireCredentials}. */
export interface RequireCredentialsInit {
  /** Whether the header `Authorization` of a request has the right credentials. */
  readonly admit: (header: string | undefined) => boolean;
  /** Whether a request needs none. Default: each needs them. */
  readonly isExempt?: (req: IncomingMessage) => boolean;
}

/**
 * Gives only requests with the right credentials to the handler. Others are answered with 401 and a challenge (RFC 7617),
 * in the form of the OCI distribution specification; the content of the mirror does not show in the answer.
 */
export function requireCredentials(
  handler: LabelledHandler,
  { admit, isExempt = () => false }: RequireCredentialsInit,
): LabelledHandler {
  return async (req, res, signal) => {
    if (isExempt(req) || admit(req.headers.authorization)) return await handler(req, res, signal);
    res.setHeader('WWW-Authenticate', 'Basic realm="mirror", charset="UTF-8"');
    writeError(res, new OciError('UNAUTHORIZED', 'the mirror needs a user name and a password'));
    return 'registry';
  };
}
