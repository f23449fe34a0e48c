import assert from 'node:assert/strict';

import { template } from '../helm.ts';
import type { Container, Manifest } from '../manifest.ts';
import { MATRIX } from '../matrix.ts';
import { missing } from '../tools.ts';

const reason = missing('helm');
if (reason !== undefined) {
  process.stderr.write(`chart: SKIPPED: ${reason}. The chart was NOT tested.\n`);
}

/** Why tests of the chart are skipped; false if helm is installed. */
export const skip: string | false = reason ?? false;

/** Cache of rendered manifests. */
const rendered = new Map<string, Promise<Manifest[]>>();

/** The manifests for values of the matrix. */
export function render(name: string, kubernetes = '1.37'): Promise<Manifest[]> {
  const key = `${name} ${kubernetes}`;
  const manifests = rendered.get(key) ?? template(MATRIX[name], kubernetes);
  rendered.set(key, manifests);
  return manifests;
}

/** The object with this kind and name, of which there must be exactly one. */
export function find(
  manifests: readonly Manifest[],
  kind: string,
  name = 'test-peerglass',
): Manifest {
  const [found, ...more] = manifests.filter((it) => it.kind === kind && it.metadata.name === name);
  assert.ok(found !== undefined && more.length === 0, `${kind} ${name}`);
  return found;
}

/** The init containers and the main container of the agents, for values of the matrix. */
export async function agent(
  name: string,
): Promise<{ init: readonly Container[]; registry: Container }> {
  const pod = find(await render(name), 'DaemonSet').spec.template.spec;
  return { init: pod.initContainers ?? [], registry: pod.containers[0] };
}

/** The agent's container with values that are not in the matrix. */
export async function agentWith(values: unknown): Promise<Container> {
  return find(await template(values, '1.37'), 'DaemonSet').spec.template.spec.containers[0];
}
