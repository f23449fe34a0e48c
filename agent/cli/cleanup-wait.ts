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
 * @throws UsageError; Error when a signal ended the wait
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
  const known = new Set<string>();
  for (let inARow = 0; ;) {
    const before = known.size;
    const answered = await allAnswer(endpoint, known, logger);
    if (answered) inARow = known.size === before ? inARow + 1 : 1;
    else inARow = 0;
    if (inARow >= threshold) return;
    await pause(period, signal);
    signal.throwIfAborted();
  }
}

/**
 * Whether all nodes behind the name answer.
 *
 * @param known receives their addresses
 */
async function allAnswer(
  { host, port }: HostPort,
  known: Set<string>,
  logger: Logger,
): Promise<boolean> {
  try {
    const addresses = await lookup(host, { all: true });
    for (const { address } of addresses) known.add(address);
    const atOnce = pLimit(MAX_PROBES);
    await Promise.all(
      addresses.map(({ address, family }) =>
        atOnce(() => probe(`http://${family === 6 ? `[${address}]` : address}:${port}/readyz`)),
      ),
    );
    logger.info({ nodes: addresses.length }, 'all nodes answered');
    return true;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const reason = cause instanceof Error ? cause.message : String(cause);
    logger.info({ host, reason }, 'not all nodes have answered');
    return false;
  }
}

async function probe(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
  await response.body?.cancel();
  if (response.status !== 200) throw new Error(`${url}: ${response.status}`);
}
