import { readFileSync } from 'node:fs';

import { parseSwarmKeys } from '../../agent/membership/swarm-key.ts';
import type { SwarmProtectorComponents } from '../../agent/routing/private-network/swarm-protector.ts';

/**
 * What makes a node of a test a member of the network: the key of the file, or of the variable `SWARM_KEY_FILE`. Without
 * a file it is a node without a key.
 */
export function memberOf(file = process.env['SWARM_KEY_FILE'] ?? ''): {
  readonly swarm?: SwarmProtectorComponents;
} {
  if (file === '') return {};
  const keys = parseSwarmKeys(readFileSync(file, 'utf8'));
  return { swarm: { swarmKeys: { keys }, isOpen: false, onStranger: () => undefined } };
}
