import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

import type { ContentSource } from '../content/content-source.ts';
import { moveBody } from '../http/send-body.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { serve } from './token-registry.ts';

/** What a client of an {@link upstreamMirror} got. */
export interface MovedAnswer {
  readonly socket: Socket;
  /** Resolves when the connection ends: what came after the head, and what the body failed with. */
  readonly done: Promise<{ readonly bytes: Buffer; readonly error: unknown }>;
}

/**
 * Answers with content of a source that is moved within the kernel, to one client at a time.
 *
 * @throws Error when the content cannot be moved
 */
export async function upstreamMirror(
  t: TestContext,
  source: Pick<ContentSource, 'fetch'>,
): Promise<(request: ContentRequest) => Promise<MovedAnswer>> {
  let next: ContentRequest | undefined;
  let ended = Promise.withResolvers<unknown>();
  const origin = await serve(t, (_req, res) => {
    const left = new AbortController();
    res.once('close', () => {
      left.abort();
    });
    const answer = async (): Promise<void> => {
      if (next === undefined) throw new TypeError('no request');
      const content = await source.fetch(next, left.signal);
      if (content?.kind !== 'stream' || content.moveTo === undefined) {
        throw new TypeError('the content cannot be moved');
      }
      res.writeHead(200, { 'Content-Length': content.descriptor.size });
      await moveBody(res, content.moveTo, left.signal, () => undefined);
    };
    answer().then(
      () => {
        ended.resolve(undefined);
      },
      (error: unknown) => {
        ended.resolve(error);
        res.destroy();
      },
    );
  });
  return async (request) => {
    next = request;
    ended = Promise.withResolvers<unknown>();
    const { promise: error } = ended;
    const socket = connect(Number(new URL(origin).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    const closed = once(socket, 'close');
    const read = async (): Promise<{ bytes: Buffer; error: unknown }> => {
      await closed;
      const all = Buffer.concat(chunks);
      return { bytes: all.subarray(all.indexOf('\r\n\r\n') + 4), error: await error };
    };
    return { socket, done: read() };
  };
}
