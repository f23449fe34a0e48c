import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';

import { Deadline } from '../timing/deadline.ts';

/** For one request and its whole answer, in milliseconds. */
const TIMEOUT_MS = 10_000;

/** Longest answer, in characters: etcd stores no object above 1.5 MiB. */
const MAX_BODY_LENGTH = 4 * 1024 * 1024;

/** A request; it uses TLS if it has a `ca`. */
export interface ApiRequest extends RequestOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** JSON text to send. */
  readonly body?: string;
}

/** The answer to a request. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * Sends one request over a connection of its own. It uses `node:http`: `fetch` would take 10 MiB of memory, in a process
 * that does nothing else.
 *
 * @throws Error when there is no complete answer within ten seconds, or it is longer than 4 MiB
 */
export async function ask({ body, ...options }: ApiRequest, signal: AbortSignal): Promise<Answer> {
  using deadline = new Deadline(TIMEOUT_MS, signal);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const send = options.ca === undefined ? httpRequest : httpsRequest;
  const req = send({ ...options, agent: false, signal: deadline.signal });
  req.once('response', resolve).on('error', reject).end(body);
  const res = await promise;
  let text = '';
  for await (const chunk of res.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MAX_BODY_LENGTH)
      throw new Error(`an answer of more than ${MAX_BODY_LENGTH} bytes`);
  }
  return { status: res.statusCode ?? 0, text };
}
