import { shareMaxMin } from './fluid.ts';
import { HOP_MS } from './flows.ts';
import type { HerdInit } from './herd-init.ts';
import { seededRandom } from './random.ts';

const STRIPES = [0, 1] as const;
/** Children of an inner node in its stripe: together they get what it receives. */
const FAN_OUT = 2;
/** A herd that is not done by then never is, in times of one node alone. */
const MAX_TIMES = 40;

type Stripe = (typeof STRIPES)[number];

/** A node with half of the blob from each of two trees. It forwards in one of them only. */
interface StripedNode {
  readonly arrivedAt: number;
  readonly inner: Stripe;
  readonly offsets: [number, number];
  readonly before: [number, number];
  readonly parents: [StripedNode | undefined, StripedNode | undefined];
  readonly children: [StripedNode[], StripedNode[]];
  isDead: boolean;
  doneAt: number;
}

/**
 * What two stripes would give: the blob in halves, each over a tree whose inner nodes are leaves of the other. The trees are made in
 * advance, without an arbiter; orphans get free slots of their stripe. An upper bound of what real code would reach.
 *
 * @returns time of the last node from its own arrival on, to the time of one node alone
 */
export function runStripes(init: HerdInit): number {
  const { upstream, link, spreadMs, killed = 0, size = 500e6 } = init;
  const random = seededRandom(init.seed ?? 1);
  const aloneMs = size / Math.min(upstream, link);
  const nodes = Array.from({ length: init.nodes }, (_, index) =>
    makeNode(random() * spreadMs, ((index + 1) % 2) as Stripe),
  ).sort((a, b) => a.arrivedAt - b.arrivedAt);
  const [root, ...others] = nodes;
  if (root === undefined) return NaN;
  for (const stripe of STRIPES) layOut(stripe, root, others);
  let now = 0;
  let isHarmed = killed === 0;
  while (
    now < aloneMs * MAX_TIMES &&
    nodes.some(({ isDead, doneAt }) => !isDead && doneAt === Infinity)
  ) {
    now += HOP_MS;
    if (!isHarmed && now >= aloneMs / 2) {
      isHarmed = true;
      for (const node of others) node.isDead = random() < killed;
      for (const stripe of STRIPES) replaceDead(stripe, others);
    }
    step(nodes, root, { now, size, upstream, link });
  }
  const times = nodes
    .filter(({ isDead }) => !isDead)
    .map(({ doneAt, arrivedAt }) => doneAt - arrivedAt);
  return Math.max(...times) / aloneMs;
}

function makeNode(arrivedAt: number, inner: Stripe): StripedNode {
  return {
    arrivedAt,
    inner,
    offsets: [0, 0],
    before: [0, 0],
    parents: [undefined, undefined],
    children: [[], []],
    isDead: false,
    doneAt: Infinity,
  };
}

/** The inner nodes are a binary tree below one child of the root; the others take its free slots. */
function layOut(stripe: Stripe, root: StripedNode, nodes: readonly StripedNode[]): void {
  const inner = nodes.filter((node) => node.inner === stripe);
  for (const [index, node] of inner.entries())
    join(stripe, node, index === 0 ? root : (inner[(index - 1) >> 1] ?? root));
  let next = 0;
  for (const node of nodes.filter((each) => each.inner !== stripe)) {
    while (next < inner.length - 1 && (inner[next]?.children[stripe].length ?? 0) >= FAN_OUT)
      next += 1;
    join(stripe, node, inner[next] ?? root);
  }
}

function join(stripe: Stripe, node: StripedNode, parent: StripedNode): void {
  node.parents[stripe] = parent;
  parent.children[stripe].push(node);
}

/** Orphans go to inner nodes with a free slot, then to those with fewest children. */
function replaceDead(stripe: Stripe, nodes: readonly StripedNode[]): void {
  for (const node of nodes) {
    const siblings = node.parents[stripe]?.children[stripe];
    if (node.isDead && siblings !== undefined) siblings.splice(siblings.indexOf(node), 1);
  }
  for (const node of nodes) {
    if (node.isDead || node.parents[stripe]?.isDead !== true) continue;
    const places = nodes
      .filter((each) => !each.isDead && each.inner === stripe && !isBelow(stripe, each, node))
      .sort((a, b) => a.children[stripe].length - b.children[stripe].length);
    if (places[0] !== undefined) join(stripe, node, places[0]);
  }
}

function isBelow(stripe: Stripe, node: StripedNode, above: StripedNode): boolean {
  for (let at: StripedNode | undefined = node; at !== undefined; at = at.parents[stripe])
    if (at === above || at.isDead) return true;
  return false;
}

interface Step {
  readonly now: number;
  readonly size: number;
  readonly upstream: number;
  readonly link: number;
}

/** Each hop takes one step, so that the order of the nodes does not matter. */
function step(
  nodes: readonly StripedNode[],
  root: StripedNode,
  { now, size, upstream, link }: Step,
): void {
  const half = size / 2;
  for (const { offsets, before } of nodes)
    for (const stripe of STRIPES) before[stripe] = offsets[stripe];
  for (const stripe of STRIPES)
    root.offsets[stripe] = Math.min(
      half,
      root.offsets[stripe] + (Math.min(upstream, link) / 2) * HOP_MS,
    );
  for (const node of nodes) {
    if (node.isDead) continue;
    const takers = STRIPES.flatMap((stripe) =>
      node.children[stripe]
        .filter(({ arrivedAt, isDead }) => arrivedAt <= now && !isDead)
        .map((child) => ({ child, stripe })),
    );
    const demands = takers.map(({ child, stripe }) =>
      Math.min(link / 2, Math.max(0, node.before[stripe] - child.before[stripe]) / HOP_MS),
    );
    for (const [index, share] of shareMaxMin(link, demands).entries()) {
      const taker = takers[index];
      if (taker !== undefined) taker.child.offsets[taker.stripe] += share * HOP_MS;
    }
  }
  for (const node of nodes) {
    const isDone = node.offsets.every((offset) => offset >= half - 0.5);
    if (isDone && node.doneAt === Infinity) node.doneAt = now;
  }
}
