import { PORTS } from './agent-process.ts';
import type { Child } from './child.ts';
import type { ContainerdNode } from './containerd-node.ts';

/**
 * A program of Spegel's, v0.7 or later, that the tester provides: `PEERGLASS_E2E_SPEGEL=/path/to/spegel`.
 * Nothing of it is in this repository, and nothing here builds or fetches it.
 */
export const SPEGEL: string | undefined = process.env['PEERGLASS_E2E_SPEGEL'];

/** Spegel notices new content only by events of containerd, which has them from 2.1 on. */
export const SPEGEL_SUITE = 'forky';

/**
 * Starts Spegel on the node.
 *
 * @param bootstrap flags that name its peers
 */
export function startSpegel(
  program: string,
  { host, socket, contentPath }: ContainerdNode,
  bootstrap: readonly string[],
): Child {
  return host.start('spegel', {
    command: [
      program,
      ...['--log-level', 'DEBUG', 'registry'],
      ...['--containerd-sock', socket, '--containerd-content-path', contentPath],
      ...['--registry-addr', `:${PORTS.registry}`, '--router-addr', `:${PORTS.router}`],
      ...['--metrics-addr', `:${PORTS.metrics}`, ...bootstrap],
    ],
  });
}
