import { fileURLToPath } from 'node:url';

import type { Host } from '../../harness/namespaces.ts';

/** In the path of a {@link Requests}: an unknown digest, another in each request. */
export const RANDOM_DIGEST = '{random-digest}';

const DOWNLOADS = fileURLToPath(new URL('../programs/downloads.ts', import.meta.url));
const REQUESTS = fileURLToPath(new URL('../programs/requests.ts', import.meta.url));
const GRACE_MS = 60_000;

/** What `programs/downloads.ts` is to do. */
export interface Downloads {
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  /** What each client takes at most; default: all it can get. */
  readonly bytesPerSecond?: number;
}

/** What came of {@link Downloads}. */
export interface Downloaded {
  /** Of all clients, heads of the answers included. */
  readonly bytes: number;
  readonly seconds: number;
  /** Answers by status; `error` counts connections that broke. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Clients that got content at least once. */
  readonly servedClients: number;
}

/** What `programs/requests.ts` is to do. */
export interface Requests {
  /** Its path may hold {@link RANDOM_DIGEST}. */
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** Default half a second, which is not counted. */
  readonly warmUpSeconds?: number;
  /** Milliseconds between an answer and the next request of its connection; default none. */
  readonly pauseMs?: number;
  readonly method?: 'GET' | 'HEAD';
  readonly accept?: string;
}

/** What came of {@link Requests}; times in milliseconds, as the client sees them. */
export interface Answered {
  readonly count: number;
  readonly perSecond: number;
  /** Answers by status; `broken` counts connections that ended instead. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Has a process on the host download. */
export async function download(host: Host, options: Downloads): Promise<Downloaded> {
  return (await run(host, DOWNLOADS, options)) as Downloaded;
}

/** Has a process on the host send requests. */
export async function request(host: Host, options: Requests): Promise<Answered> {
  return (await run(host, REQUESTS, options)) as Answered;
}

/** The share of the answers that are 200, from 0 to 1. */
export function shareOk({ count, statuses }: Answered): number {
  return (statuses['200'] ?? 0) / count;
}

async function run(
  host: Host,
  program: string,
  options: { readonly seconds: number },
): Promise<unknown> {
  const command = [process.execPath, program, JSON.stringify(options)] as const;
  return JSON.parse(await host.execute(command, options.seconds * 1000 + GRACE_MS)) as unknown;
}
