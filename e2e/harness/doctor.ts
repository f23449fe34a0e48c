import { execute } from './child.ts';
import type { ClusterNode } from './cluster.ts';
import type { ContainerdNode } from './containerd-node.ts';
import type { Host } from './namespaces.ts';
import { PROGRAM } from './agent-process.ts';

/** One check of the doctor, from its JSON. */
export interface DoctorFinding {
  readonly id: string;
  readonly outcome: 'ok' | 'warning' | 'failure' | 'skipped';
  readonly reason: string;
  readonly remedy?: string;
  readonly details?: readonly string[];
}

/** What an examination gave. */
export interface Diagnosis {
  readonly code: number;
  /** Every check that is not ok. */
  readonly findings: readonly DoctorFinding[];
  readonly all: readonly DoctorFinding[];
}

/** One descriptor of an image that the doctor followed. */
export interface FollowedPart {
  readonly kind: string;
  readonly here?: boolean;
  readonly holders: readonly { readonly origin: string; readonly answer: string }[];
  readonly servedBy?: string;
  readonly why?: string;
}

/** Where the doctor is called: on the node, or on the machine of the test, which is another network. */
export type Standpoint = 'node' | 'outside';

/** What the doctor looks at. */
interface Patient {
  readonly host: Pick<Host, 'execute'>;
  readonly containerd: Pick<ContainerdNode, 'socket' | 'certsDir'>;
}

/** Examines a node of a cluster. */
export async function examine(
  node: Patient,
  flags: readonly string[] = [],
  from: Standpoint = 'node',
): Promise<Diagnosis> {
  const { code, json } = await run(node, flags, from);
  const { checks } = json as { checks: readonly DoctorFinding[] };
  return { code, all: checks, findings: checks.filter(({ outcome }) => outcome !== 'ok') };
}

/** Follows an image from a node of a cluster. */
export async function followImage(
  node: ClusterNode,
  image: string,
): Promise<{ code: number; reason: string; parts: readonly FollowedPart[] }> {
  const { code, json } = await run(node, ['--image', image], 'node');
  const { reason, parts } = json as { reason: string; parts: readonly FollowedPart[] };
  return { code, reason, parts };
}

async function run(
  { host, containerd }: Patient,
  flags: readonly string[],
  from: Standpoint,
): Promise<{ code: number; json: unknown }> {
  // Its exit code is a result, not a failure of the test.
  const script = '"$@"; echo "exit $?"';
  const command = [
    ...['sh', '-c', script, 'sh', process.execPath, PROGRAM, 'doctor', '--output', 'json'],
    ...['--containerd-sock', containerd.socket],
    ...['--containerd-registry-config-path', containerd.certsDir],
    ...flags,
  ] as [string, ...string[]];
  const text = from === 'node' ? await host.execute(command) : await execute(command);
  const match = /^([^]*)\nexit (\d+)\n$/.exec(text);
  if (match === null) throw new Error(`the doctor printed:\n${text}`);
  return { code: Number(match[2]), json: JSON.parse(match[1] ?? '') as unknown };
}
