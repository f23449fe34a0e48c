import type { RegistryConfig } from '../config/options.ts';
import { startAgent } from '../app/agent.ts';
import { END_SIGNALS } from '../app/end-signal.ts';
import { createLogger } from '../app/logger.ts';

/**
 * Runs the agent until a signal ends it: not ready at once, then new requests are taken for
 * `--shutdown-delay`, and those in flight finish within `--shutdown-timeout`. A second signal ends the process where it stands.
 *
 * @throws what kept the agent from starting, its message fit for the user
 */
export async function runRegistry(config: RegistryConfig): Promise<void> {
  const logger = createLogger(config['log-level']);
  // A promise that nobody waits for must not take the node's pulls down with it. An exception that
  // nothing caught ends the process as ever: after one, no state can be relied on.
  process.on('unhandledRejection', (reason) => {
    // A defect, and so with its stack at every level.
    const stack = reason instanceof Error ? reason.stack : undefined;
    logger.error({ err: reason, stack }, 'a failure that nothing handled; please report it');
  });

  const ended = endedBySignal();
  const agent = await startAgent(config, logger);
  const signal = await ended;
  logger.info({ signal, timeout: config['shutdown-timeout'] }, 'stopping');
  for (const name of END_SIGNALS) {
    process.once(name, () => {
      logger.warn({ signal: name }, 'second signal, ending at once');
      process.exit(1);
    });
  }
  await agent.stop();
  logger.info('stopped');
  // What libraries may still hold open (a look-up of names, say) must not keep the process.
  process.exit(0);
}

function endedBySignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const name of END_SIGNALS) process.once(name, resolve);
  });
}
