import {
  status,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';

import { StoreUnavailableError } from '../content-store.ts';
import { explainConnection } from './sockets.ts';

type Done<Response> = (error: ServiceError | null, response: Response) => void;

/**
 * Awaits a unary call, which `signal` cancels.
 *
 * @returns `undefined` on NOT_FOUND, and on INVALID_ARGUMENT, the status for names that cannot exist
 * @throws StoreUnavailableError on any other status; the reason of `signal` when that is aborted
 */
export async function unary<Response>(
  start: (done: Done<Response>) => ClientUnaryCall,
  signal?: AbortSignal,
): Promise<Response | undefined> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const call = start((error, response) => {
    if (error === null) resolve(response);
    else reject(error);
  });
  const cancel = () => {
    call.cancel();
  };
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await promise;
  } catch (error) {
    signal?.throwIfAborted();
    if (isUnknown(error)) return undefined;
    throw unavailable(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/**
 * The messages of a server stream. The call begins with the first read. A slow reader slows containerd down. Leaving
 * the loop, or aborting `signal`, cancels the call.
 *
 * @throws as {@link unary}
 */
export async function* serverStream<Message>(
  start: () => ClientReadableStream<Message>,
  signal?: AbortSignal,
): AsyncGenerator<Message, void, undefined> {
  signal?.throwIfAborted();
  const call = start();
  // Cancelling the call below emits an error, which would end the process without a listener.
  call.on('error', () => undefined);
  const cancel = () => {
    call.cancel();
  };
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    yield* call as AsyncIterable<Message>;
  } catch (error) {
    signal?.throwIfAborted();
    throw unavailable(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

function isUnknown(error: unknown): boolean {
  return hasStatus(error, status.NOT_FOUND) || hasStatus(error, status.INVALID_ARGUMENT);
}

function hasStatus(error: unknown, code: status): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/**
 * Every other failure counts as an outage: a containerd that shuts down answers with statuses of every kind, since
 * its database is closed before its socket.
 */
function unavailable(error: unknown): StoreUnavailableError {
  const message = error instanceof Error ? error.message : 'no reason given';
  const explained = explainConnection(message);
  // The log prints causes too, and gRPC's text says nothing more then.
  const cause = explained === message ? { cause: error } : {};
  return new StoreUnavailableError(`containerd does not answer: ${explained}`, cause);
}
