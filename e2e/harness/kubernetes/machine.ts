import type { ContainerdNode } from '../containerd-node.ts';
import type { HostPaths } from './host-paths.ts';

/** A node of the cluster. */
export interface Machine {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly containerd: ContainerdNode;
  readonly paths: HostPaths;
}
