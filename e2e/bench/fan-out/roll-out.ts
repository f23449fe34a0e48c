import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ContainerdNode } from '../../harness/containerd-node.ts';
import { CriClient } from '../../harness/cri.ts';
import type { FreshImage } from './images.ts';

/** How often it looks whether a blob is committed. */
const LOOK_MS = 5;
/** The kubelet tries again too, though later. */
const ATTEMPTS = 3;
const BETWEEN_ATTEMPTS_MS = 1000;

/** How the pull of a node went. Times are in milliseconds since the first node began. */
export interface NodeOutcome {
  readonly node: string;
  readonly begun: number;
  /** When the last blob was committed. Undefined: never. */
  readonly held: number | undefined;
  readonly failedPulls: number;
}

/** How a roll-out goes on. */
export interface RollOutInit {
  readonly spreadMs: number;
  readonly waveShare: number;
  /** A pull that takes longer has failed. */
  readonly limitMs: number;
  /** Numbers from 0 to 1. */
  readonly random: () => number;
  /** Nodes that fail in the middle: the roll-out does not wait for them. */
  readonly isLost: (node: ContainerdNode) => boolean;
}

/** Lets all nodes pull an image over the CRI, as the kubelet does; resolves when all have it, or have failed. */
export async function rollOut(
  nodes: readonly ContainerdNode[],
  image: FreshImage,
  init: RollOutInit,
): Promise<NodeOutcome[]> {
  const waveSize = Math.max(1, Math.ceil(nodes.length * init.waveShare));
  // The first node of all begins at once, so that the clock starts with it.
  const delays = nodes.map(() => init.random() * init.spreadMs);
  const outcomes: NodeOutcome[] = [];
  const start = performance.now();
  for (let first = 0; first < nodes.length; first += waveSize) {
    const wave = nodes.slice(first, first + waveSize);
    const least = Math.min(...delays.slice(first, first + waveSize));
    const pulls = wave.map(async (node, index) => {
      await sleep((delays[first + index] ?? 0) - least);
      return pullOn(node, image, start, init);
    });
    outcomes.push(...(await Promise.all(pulls)));
  }
  return outcomes;
}

async function pullOn(
  node: ContainerdNode,
  image: FreshImage,
  start: number,
  { limitMs, isLost }: RollOutInit,
): Promise<NodeOutcome> {
  const begun = performance.now() - start;
  const outcome = { node: node.host.name, begun };
  using cri = new CriClient(node.socket);
  let failedPulls = 0;
  while (failedPulls < ATTEMPTS) {
    if (failedPulls > 0) await sleep(BETWEEN_ATTEMPTS_MS);
    const pull = cri.pullImage(image.name, limitMs).then(
      () => 'pulled',
      (error: unknown) => String(error),
    );
    const held = await untilHeld(node, image, pull, isLost);
    if (isLost(node)) return { ...outcome, held: undefined, failedPulls };
    const end = await pull;
    if (end === 'pulled') return { ...outcome, held: held - start, failedPulls };
    failedPulls += 1;
    process.stderr.write(`# ${String(node)}: ${end.slice(0, 300)}\n`);
  }
  return { ...outcome, held: undefined, failedPulls };
}

/** When the last blob was committed by `performance.now()`, or when the pull was over, or the node lost. */
async function untilHeld(
  node: ContainerdNode,
  image: FreshImage,
  pull: Promise<unknown>,
  isLost: RollOutInit['isLost'],
): Promise<number> {
  const folder = join(node.contentPath, 'blobs');
  let missing = image.digests.map((digest) => join(folder, ...digest.split(':')));
  const over = pull.then(() => 'over');
  while (!isLost(node)) {
    missing = missing.filter((file) => !existsSync(file));
    if (missing.length === 0) break;
    if ((await Promise.race([over, sleep(LOOK_MS, 'on')])) === 'over') break;
  }
  return performance.now();
}
