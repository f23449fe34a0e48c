import { readSwarmKeys } from '../membership/swarm-key-keeper.ts';
import { formatSwarmKey, newSwarmKey } from '../membership/swarm-key.ts';

/**
 * Prints a new swarm key on stdout, or those of a file in the form of libp2p.
 *
 * @param from the file; empty for a new key
 * @throws SwarmKeyError when the file cannot be used
 */
export async function runSwarmKey({ from }: { readonly from: string }): Promise<void> {
  const keys = from === '' ? [newSwarmKey()] : await readSwarmKeys('--from', from);
  process.stdout.write(keys.map(formatSwarmKey).join(''));
}
