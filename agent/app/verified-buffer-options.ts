import type { RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { VerifiedBufferInit } from '../transfer/verify/verified-buffer.ts';

/**
 * What is held back until it is verified, in bytes.
 *
 * @throws UsageError when the memory does not suffice for one blob
 */
export function holdBackOf(config: RegistryConfig): Required<VerifiedBufferInit> {
  const [size, memory] = [config['hold-back-size'], config['hold-back-memory']];
  if (size > memory) {
    throw new UsageError('--hold-back-size must not be more than --hold-back-memory');
  }
  return { size, memory };
}
