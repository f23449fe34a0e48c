import { STATUS_CODES, type ServerResponse } from 'node:http';

import type { OciError } from '../oci/errors.ts';

const ERROR_TYPE = 'application/json; charset=utf-8';

/** Answers with an error in the form of the OCI distribution specification. A HEAD gets status and headers only. */
export function writeError(res: ServerResponse, error: OciError): void {
  const body = error.toBody();
  res.writeHead(error.status, {
    'Content-Type': ERROR_TYPE,
    'Content-Length': Buffer.byteLength(body),
  });
  res.end(body);
}

/** The same answer as it goes over the wire, for a request that could not be parsed. The connection is to be closed. */
export function rawError(error: OciError): string {
  const body = error.toBody();
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
    `Content-Type: ${ERROR_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
