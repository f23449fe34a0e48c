import { closeSync, openSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';

import type * as koffiLibrary from 'koffi';

import { raceSignal } from '../timing/race-signal.ts';
import { koffiFile } from './foreign.ts';

/** A request that can be made with the network of another process. */
export interface NamespaceRequest {
  /** `http:` or `https:`. The request finds out whether a server answers, and so accepts every certificate. */
  readonly url: string;
  readonly method: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** Certificate and key of the client in PEM, for a server that requires them. */
  readonly cert?: string;
  readonly key?: string;
  /** Authorities in PEM, to check the certificate for {@link NamespaceAnswer}. Default: those of Node. */
  readonly ca?: readonly string[];
  /** Until the head of the answer, in milliseconds. */
  readonly timeoutMs: number;
}

/** The answer, or why there is none. */
export type NamespaceAnswer =
  | {
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      /** Why the certificate is not trusted, as a code of Node; absent for a trusted one, and without TLS. */
      readonly distrust?: string;
      /** The first 4 MiB of the body. */
      readonly body: string;
    }
  /** A system error (`ECONNREFUSED`), `TIMEOUT`, or an error of TLS. */
  | { readonly error: string };

/** The data of the thread. */
interface ThreadData {
  /** Path of koffi. */
  readonly koffi: string;
  /** Descriptor of the namespace's file. */
  readonly namespace: number;
  readonly request: NamespaceRequest;
}

/** Makes the request with the network of this process. */
export function requestHere(request: NamespaceRequest): Promise<NamespaceAnswer> {
  return send(request);
}

/**
 * Makes the request in the network namespace of a file, `/proc/PID/ns/net`. It does so on a thread of its own: each
 * thread has a namespace, and a socket belongs to the namespace in which it was made.
 *
 * @throws Error with the system's `code`: `EPERM` or `EACCES` without permission to enter, `ENOENT` without the process
 */
export async function requestFrom(
  namespaceFile: string,
  request: NamespaceRequest,
  signal?: AbortSignal,
): Promise<NamespaceAnswer> {
  await using ends = new AsyncDisposableStack();
  const namespace = ends.adopt(openSync(namespaceFile, 'r'), closeSync);
  const worker = new Worker(`(${enterAndSend.toString()})(${send.toString()})`, {
    eval: true,
    workerData: { koffi: koffiFile(), namespace, request } satisfies ThreadData,
  });
  ends.defer(async () => {
    await worker.terminate();
  });
  const { promise, resolve, reject } = Promise.withResolvers<NamespaceAnswer>();
  worker.once('error', reject);
  worker.once('exit', () => {
    reject(new Error('the thread ended without an answer'));
  });
  worker.once('message', (message: { answer: NamespaceAnswer } | { code: string }) => {
    if ('answer' in message) resolve(message.answer);
    else reject(Object.assign(new Error(`setns: ${message.code}`), { code: message.code }));
  });
  return await raceSignal(promise, signal);
}

/** Runs on the thread, as source text: it must not use anything else of this file. */
async function enterAndSend(sendThere: typeof send): Promise<void> {
  const threads = process.getBuiltinModule('node:worker_threads');
  const { createRequire: requireOf } = process.getBuiltinModule('node:module');
  const { getSystemErrorName } = process.getBuiltinModule('node:util');
  const { koffi: file, namespace, request } = threads.workerData as ThreadData;
  const koffi = requireOf(file)(file) as Pick<typeof koffiLibrary, 'load' | 'errno'>;
  const setns = koffi.load(null).func('int setns(int fd, int type)') as (
    fd: number,
    type: number,
  ) => number;
  const CLONE_NEWNET = 0x40000000;
  if (setns(namespace, CLONE_NEWNET) !== 0) {
    threads.parentPort?.postMessage({ code: getSystemErrorName(-koffi.errno()) });
    return;
  }
  threads.parentPort?.postMessage({ answer: await sendThere(request) });
}

/** Runs here, or on the thread as source text: it must not use anything else of this file. */
function send(request: NamespaceRequest): Promise<NamespaceAnswer> {
  const MAX_BODY = 4 * 1024 * 1024;
  const { url, method, headers = {}, cert, key, ca, timeoutMs } = request;
  const secure = url.startsWith('https:');
  const http = process.getBuiltinModule('node:http');
  const https = process.getBuiltinModule('node:https');
  return new Promise((resolve) => {
    const options = {
      method,
      headers,
      agent: false as const,
      ...(secure && {
        rejectUnauthorized: false,
        ...(cert && { cert }),
        ...(key && { key }),
        ...(ca && { ca: [...ca] }),
      }),
    };
    const req = (secure ? https : http).request(url, options, (res) => {
      // Connections with TLS have it. By its type it is an Error; in fact it is a text.
      const { authorizationError } = res.socket as Partial<TLSSocket>;
      const chunks: Buffer[] = [];
      let length = 0;
      const done = (): void => {
        clearTimeout(timer);
        const flat = Object.entries(res.headers).map(([name, value]) => [name, String(value)]);
        resolve({
          status: res.statusCode ?? 0,
          ...(authorizationError && { distrust: String(authorizationError) }),
          headers: Object.fromEntries(flat) as Record<string, string>,
          body: Buffer.concat(chunks).toString('utf8'),
        });
        req.destroy();
      };
      res.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > MAX_BODY) done();
      });
      res.on('end', done);
      res.on('error', done);
    });
    const timer = setTimeout(() => {
      resolve({ error: 'TIMEOUT' });
      req.destroy();
    }, timeoutMs);
    req.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve({ error: error.code ?? error.message });
    });
    req.end();
  });
}
