import { setTimeout as sleep } from 'node:timers/promises';

import { Client } from 'undici';

/** Milliseconds between two rounds over what was not found. */
const ROUND_MS = 20;

/** The answer to a HEAD request, and how long it took. */
export interface HeadAnswer {
  readonly status: number;
  readonly milliseconds: number;
}

/** Sends HEAD requests to a mirror, one after another on one connection that stays open. */
export class HeadClient implements AsyncDisposable {
  readonly #client: Client;

  constructor(mirror: string) {
    this.#client = new Client(mirror, { pipelining: 1 });
  }

  async head(path: string): Promise<HeadAnswer> {
    const started = performance.now();
    const { statusCode, body } = await this.#client.request({ method: 'HEAD', path });
    await body.dump();
    return { status: statusCode, milliseconds: performance.now() - started };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.destroy();
  }
}

/** What came of looking for many keys. */
export interface SearchResult {
  /** Keys that the first request for them did not find. */
  readonly missedAtFirst: number;
  /** Keys that were never found. */
  readonly lost: number;
  /** When the last one was found, on `performance.now`. */
  readonly lastAt: number;
}

/** Asks a mirror for all the paths, a few at a time, and again for those not found until time is up. */
export async function searchAll(
  mirror: string,
  paths: readonly string[],
  timeoutMs: number,
  connections = 4,
): Promise<SearchResult> {
  await using clients = new AsyncDisposableStack();
  const workers = Array.from({ length: connections }, () => clients.use(new HeadClient(mirror)));
  const end = performance.now() + timeoutMs;
  let missing: readonly string[] = paths;
  let missedAtFirst: number | undefined;
  let lastAt = performance.now();
  for (;;) {
    const queue = missing.values();
    const missed: string[] = [];
    await Promise.all(
      workers.map(async (client) => {
        for (const path of queue) {
          const { status } = await client.head(path);
          if (status === 200) lastAt = performance.now();
          else missed.push(path);
        }
      }),
    );
    missedAtFirst ??= missed.length;
    missing = missed;
    if (missing.length === 0 || performance.now() > end) break;
    await sleep(ROUND_MS);
  }
  return { missedAtFirst, lost: missing.length, lastAt };
}
