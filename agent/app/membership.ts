import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import { SwarmKeyKeeper } from '../membership/swarm-key-keeper.ts';

/** Who may connect with the router of this node. */
export interface MembershipSettings {
  /** The keys of `--swarm-key-file`; undefined without one. */
  readonly keeper?: SwarmKeyKeeper;
  /** Whether nodes without a key may connect. */
  readonly isOpen: boolean;
}

/**
 * Reads the swarm key.
 *
 * @throws UsageError when there is none and `--open` is not given, SwarmKeyError when the file cannot be used
 */
export async function membershipSettings(
  config: Pick<RegistryConfig, 'swarm-key-file' | 'open'>,
  logger: Logger,
): Promise<MembershipSettings> {
  const { 'swarm-key-file': file, open: isOpen } = config;
  if (file === '' && !isOpen) {
    throw new UsageError(
      'no swarm key: `peerglass swarm-key > FILE` makes one for all nodes, and --swarm-key-file FILE names it; or --open lets each node on the network join',
    );
  }
  if (isOpen) {
    logger.warn(
      '--open: each node that reaches the port of --router-addr can join, without a swarm key',
    );
  }
  if (file === '') return { isOpen };
  return { keeper: await SwarmKeyKeeper.load(file, logger), isOpen };
}
