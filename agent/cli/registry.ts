import type { RegistryConfig } from '../config/options.ts';
import { startAgent } from '../app/agent.ts';
import { END_SIGNALS } from '../app/end-signal.ts';
import { createLogger } from '../app/logger.ts';

/**
 * Runs the agent until a signal ends it. The node is not ready from then on; the mirror takes new requests for
 * `--shutdown-delay`, and those in flight finish within `--shutdown-timeout`. A second signal ends the process at once.
 *
 * @throws the error that kept the agent from starting; its message is for the user
 */
export async function runRegistry(config: RegistryConfig): Promise<void> {
  const logger = createLogger(config, 'service');
  // A rejected promise without a handler must not end the pulls of the node. An uncaught exception does end the
  // process: after one, the state is unknown.
  process.on('unhandledRejection', (reason) => {
    // This is a defect, so the stack is logged at every level.
    const stack = reason instanceof Error ? reason.stack : undefined;
    logger.error({ err: reason, stack }, 'a failure that nothing handled; please report it');
  });

  const ended = endedBySignal((signal) => {
    logger.warn({ signal }, 'second signal, ending at once');
    process.exit(1);
  });
  const agent = await startAgent(config, logger);
  const signal = await ended;
  logger.info({ signal, timeout: config['shutdown-timeout'] }, 'stopping');
  await agent.stop();
  logger.info('stopped');
  // Libraries may still hold something open, a DNS look-up for example.
  process.exit(0);
}

/** Resolves at the first signal. One listener hears them all: without one, a second signal would kill the process. */
function endedBySignal(onSecond: (signal: NodeJS.Signals) => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isEnding = false;
    for (const name of END_SIGNALS) {
      process.on(name, () => {
        if (isEnding) onSecond(name);
        isEnding = true;
        resolve(name);
      });
    }
  });
}
