import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';

import { Deadline } from '../timing/deadline.ts';

/** For one question and its whole answer, in milliseconds. */
const TIMEOUT_MS = 10_000;
/** Longest answer that is taken, in bytes: etcd keeps no object above 1.5 MiB. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** A question; `ca` makes it one by TLS. */
export interface Question extends RequestOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** JSON text to send. */
  readonly body?: string;
}

/** What came of it. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * Asks once, over a connection of its own. By `node:http` alone: `fetch` would take 10 MiB of memory, in a process that does
 * nothing else.
 *
 * @throws Error when there is no whole answer in time
 */
export async function ask({ body, ...options }: Question, signal: AbortSignal): Promise<Answer> {
  using deadline = new Deadline(TIMEOUT_MS, signal);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const send = options.ca === undefined ? httpRequest : httpsRequest;
  const req = send({ ...options, agent: false, signal: deadline.signal });
  req.once('response', resolve).on('error', reject).end(body);
  const res = await promise;
  let text = '';
  for await (const chunk of res.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MAX_BODY_BYTES)
      throw new Error(`an answer of more than ${MAX_BODY_BYTES} bytes`);
  }
  return { status: res.statusCode ?? 0, text };
}
