import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';

import { everyoneFindsEverything, untilPeers, type Findings, type Sample } from './finding.ts';
import { REGISTRY } from './fixtures.ts';
import type { LightNode } from './light-node.ts';

/** Waits until all nodes know each other, and every one has found every key of every other. Prints how long that took. */
export async function converged(
  t: TestContext,
  what: string,
  nodes: readonly LightNode[],
): Promise<void> {
  const [peers, found] = await Promise.all([
    untilPeers(nodes, nodes.length - 1),
    everyoneFindsEverything(nodes),
  ]);
  t.diagnostic(
    `${what}: all ${nodes.length} know all others after ${span(peers)}; ${summary(found)}`,
  );
}

/** The findings in words. */
export function summary({ keys, seconds, misses, slowest }: Findings): string {
  return (
    `all ${keys} questions answered with 200 after ${seconds.toFixed(1)} s, ` +
    `asked again ${misses} times, slowest answer ${slowest.toFixed(0)} ms`
  );
}

/** Prints a sample, and asserts that its answers have these statuses and no others. */
export function tell(
  t: TestContext,
  what: string,
  sample: Sample,
  expected: readonly number[],
): void {
  const { statuses, median, slowest } = sample;
  t.diagnostic(
    `${what}: ${JSON.stringify(statuses)}, median ${median.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms`,
  );
  assert.deepEqual(Object.keys(statuses).map(Number), expected, what);
}

/** What {@link untilPeers} returned, in words. */
export function span({ first, last }: { first: number; last: number }): string {
  return `${first.toFixed(1)} to ${last.toFixed(1)} s`;
}

/** Paths of blobs that no node holds. */
export function unknownPaths(count: number): string[] {
  return Array.from({ length: count }, () => {
    const digest = `sha256:${randomBytes(32).toString('hex')}`;
    return `/v2/missing/blobs/${digest}?ns=${REGISTRY}`;
  });
}
