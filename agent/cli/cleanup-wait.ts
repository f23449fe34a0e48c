import { lookup } from 'node:dns/promises';

import pLimit from 'p-limit';
import type { Logger } from 'pino';

import type { OptionValues } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { SUBCOMMANDS } from '../config/subcommands.ts';
import type { HostPort } from '../config/values.ts';
import { pause } from '../timing/pause.ts';
import { createLogger } from '../app/logger.ts';
import { endSignal } from '../app/end-signal.ts';

/** Time for a node to answer, in milliseconds. */
const PROBE_TIMEOUT_MS = 1_000;
/** Nodes that are probed at once. */
const MAX_PROBES = 10;

/**
 * Waits until `cleanup --addr` answers on all nodes. It has to do so several times in a row without a new node: the DNS
 * name has a node only once its pod has an address, and slow pods need time to appear.
 *
 * @throws UsageError; Error when a signal ended the wait, or `--wait-timeout` is over
 */
export async function runCleanupWait(
  config: OptionValues<(typeof SUBCOMMANDS)['cleanup-wait']['options']>,
): Promise<void> {
  const { threshold, period } = config;
  const endpoint = config['probe-endpoint'];
  if (endpoint === undefined || endpoint.host === '') {
    throw new UsageError('--probe-endpoint NAME:PORT is needed: where the cleanups serve /readyz');
  }
  if (threshold === 0) throw new UsageError('--threshold must be at least 1');
  const logger = createLogger(config);
  const signal = endSignal();
  const deadline = performance.now() + config['wait-timeout'];
  const known = new Set<string>();
  for (let inARow = 0; ;) {
    const before = known.size;
    const problem = await findProblem(endpoint, known, logger);
    if (problem !== undefined) inARow = 0;
    else inARow = known.size === before ? inARow + 1 : 1;
    if (inARow >= threshold) return;
    const remaining = deadline - performance.now();
    if (remaining <= 0) {
      const reason = problem ?? `all answered, but only ${inARow} times in a row`;
      throw new Error(`--wait-timeout is over, and not all nodes are cleaned up: ${reason}`);
    }
    await pause(Math.min(period, remaining), signal);
    signal.throwIfAborted();
  }
}

/**
 * Asks all nodes behind the name.
 *
 * @param known receives their addresses
 * @returns why one of them does not answer; undefined if all do
 */
async function findProblem(
  { host, port }: HostPort,
  known: Set<string>,
  logger: Logger,
): Promise<string | undefined> {
  const atOnce = pLimit(MAX_PROBES);
  try {
    const addresses = await lookup(host, { all: true });
    for (const { address } of addresses) known.add(address);
    await Promise.all(
      addresses.map(({ address, family }) =>
        atOnce(() => probe(`http://${family === 6 ? `[${address}]` : address}:${port}/readyz`)),
      ),
    );
    logger.info({ nodes: addresses.length }, 'all nodes answered');
    return undefined;
  } catch (error) {
    const reason = reasonOf(error);
    logger.info({ host, reason }, 'not all nodes have answered');
    return reason;
  } finally {
    // The next round asks those again that were not asked because another one failed.
    atOnce.clearQueue();
  }
}

/** @throws Error naming the URL, when it does not answer 200 */
async function probe(url: string): Promise<void> {
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  const response = await fetch(url, { signal }).catch((error: unknown) => {
    throw new Error(`${url}: ${reasonOf(error)}`, { cause: error });
  });
  await response.body?.cancel();
  if (response.status !== 200) throw new Error(`${url}: ${response.status}`);
}

/** The message of an error; of one that `fetch` wraps, that of its cause. */
function reasonOf(error: unknown): string {
  const isWrapped = error instanceof TypeError && error.cause instanceof Error;
  const cause = isWrapped ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
