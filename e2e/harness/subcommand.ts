import { PROGRAM } from './agent-process.ts';
import { execute } from './child.ts';
import type { ContainerdNode } from './containerd-node.ts';

/** Runs a subcommand that configures the node's containerd, as a person would on it; gives what it printed. */
export function runHostsCommand(
  { host, certsDir }: ContainerdNode,
  subcommand: 'configuration' | 'cleanup',
  ...args: readonly string[]
): Promise<string> {
  const where = ['--containerd-registry-config-path', certsDir];
  return execute([process.execPath, PROGRAM, subcommand, ...where, ...args], {
    namespace: host.namespace,
  });
}
