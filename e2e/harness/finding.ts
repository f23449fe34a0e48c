import { setTimeout as sleep } from 'node:timers/promises';

import type { LightNode } from './light-node.ts';
import { waitFor } from './wait.ts';

/** Requests to one node at a time. More would measure the machine, which all nodes share. */
const CONCURRENCY = 2;
const RETRY_MS = 100;

/** How long it took until all nodes had found all keys. */
export interface Findings {
  /** From the call to the last key that was found, asking included. */
  readonly seconds: number;
  readonly keys: number;
  /** Requests that had to be repeated. */
  readonly misses: number;
  /** Of the answers that found, in milliseconds. */
  readonly slowest: number;
}

/** Something that a node is to find. */
interface Wanted {
  readonly node: LightNode;
  readonly holder: LightNode;
  readonly path: string;
}

/**
 * Has every node look for everything that the others hold, again and again until it is found.
 *
 * @throws when something is still not found after `limitMs`, with who misses what of whom
 */
export async function everyoneFindsEverything(
  nodes: readonly LightNode[],
  limitMs = 60_000,
): Promise<Findings> {
  const started = performance.now();
  let misses = 0;
  let slowest = 0;
  const missing = new Map<string, number>();
  const find = async ({ node, holder, path }: Wanted): Promise<void> => {
    for (;;) {
      const { status, ms } = await node.head(path);
      if (status === 200) {
        slowest = Math.max(slowest, ms);
        return;
      }
      misses++;
      if (performance.now() - started > limitMs) {
        const pair = `${node.name} of ${holder.name}`;
        missing.set(pair, (missing.get(pair) ?? 0) + 1);
        return;
      }
      await sleep(RETRY_MS);
    }
  };
  const wanted = nodes.map((node) => wantedBy(node, nodes));
  await Promise.all(wanted.map((list) => eachOf(list, find)));
  if (missing.size > 0) {
    const pairs = Array.from(missing, ([pair, keys]) => `${pair} ${keys}`);
    throw new Error(`keys not found within ${limitMs} ms: ${pairs.join(', ')}`);
  }
  const seconds = (performance.now() - started) / 1000;
  return { seconds, keys: wanted.flat().length, misses, slowest };
}

/** The keys of the other nodes, one holder after the other, starting with a different one for each node. */
function wantedBy(node: LightNode, nodes: readonly LightNode[]): Wanted[] {
  const at = nodes.indexOf(node);
  const others = [...nodes.slice(at + 1), ...nodes.slice(0, at)];
  return others.flatMap((holder) => holder.paths.map((path) => ({ node, holder, path })));
}

async function eachOf<T>(values: readonly T[], work: (value: T) => Promise<void>): Promise<void> {
  const queue = values.values();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const value of queue) await work(value);
    }),
  );
}

/** Waits until each node knows this number of peers. Returns the seconds until the first and the last did. */
export async function untilPeers(
  nodes: readonly LightNode[],
  peers: number,
  limitMs = 60_000,
): Promise<{ first: number; last: number }> {
  const started = performance.now();
  const times = await Promise.all(
    nodes.map(async (node) => {
      const what = `${node.name} knows ${peers} peers`;
      const probe = async (): Promise<boolean> => {
        const now = (await node.directory())?.peers;
        if (now !== peers) throw new Error(`it knows ${now ?? 'none: it does not answer'}`);
        return true;
      };
      await waitFor(what, probe, { timeoutMs: limitMs, everyMs: 100 });
      return (performance.now() - started) / 1000;
    }),
  );
  return { first: Math.min(...times), last: Math.max(...times) };
}

/** The answers of nodes to one kind of request. */
export interface Sample {
  /** How often each status was the answer. */
  readonly statuses: Readonly<Record<number, number>>;
  /** The time of the slowest answer, in milliseconds. */
  readonly slowest: number;
  readonly median: number;
}

/** Asks each node for each path that `pathsFor` names, once. */
export async function ask(
  nodes: readonly LightNode[],
  pathsFor: (node: LightNode) => readonly string[],
): Promise<Sample> {
  const statuses: Record<number, number> = {};
  const times: number[] = [];
  await Promise.all(
    nodes.map((node) =>
      eachOf(pathsFor(node), async (path) => {
        const { status, ms } = await node.head(path);
        statuses[status] = (statuses[status] ?? 0) + 1;
        times.push(ms);
      }),
    ),
  );
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1] ?? 0;
  return { statuses, slowest: times.at(-1) ?? 0, median };
}
