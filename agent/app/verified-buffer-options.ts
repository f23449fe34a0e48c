import type { RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { VerifiedBufferInit } from '../transfer/verify/verified-buffer.ts';

/**
 * The bounds of the verified buffer, in bytes.
 *
 * @throws UsageError when the memory does not suffice for the largest blob that is buffered
 */
export function verifiedBufferInit(config: RegistryConfig): Required<VerifiedBufferInit> {
  const [size, memory] = [config['hold-back-size'], config['hold-back-memory']];
  if (size > memory) {
    throw new UsageError('--hold-back-size must not be more than --hold-back-memory');
  }
  return { size, memory };
}
