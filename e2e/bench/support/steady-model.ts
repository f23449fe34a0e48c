/** Kademlia's k: how many peers keep a record at most. */
const REPLICATION = 20;

/** A network in which every node holds as many keys, all of them different. */
export interface NetworkShape {
  readonly nodes: number;
  /** Keys of each node. */
  readonly keys: number;
  /** Seconds between two refreshes of a record. */
  readonly refreshSeconds: number;
}

/** What each node does in a second, sending and receiving alike. */
export interface Work {
  /** Records placed with others, and as many received. */
  readonly records: number;
  /** Batches in which they go. */
  readonly batches: number;
}

/** CPU of one node in milliseconds a second, observed. */
export interface Observation extends Work {
  /** With nothing to refresh. */
  readonly idle: number;
  /** In all. */
  readonly cpu: number;
}

/** What the parts of the work cost, in milliseconds; sender and receiver together. */
export interface Costs {
  readonly record: number;
  readonly batch: number;
  /** A second of a node alone. */
  readonly idle: number;
  /** What each peer that it is connected with adds to that. */
  readonly idlePerPeer: number;
}

/** Peers that keep a record in a network of that size. */
export function replicas(nodes: number): number {
  return Math.min(REPLICATION, nodes - 1);
}

/** What a node has to do in a second, when keys and peers lie evenly. */
export function workOf({ nodes, keys, refreshSeconds }: NetworkShape): Work {
  const peers = nodes - 1;
  const share = replicas(nodes) / peers;
  const concerned = peers * (1 - (1 - share) ** keys);
  return {
    records: (keys * replicas(nodes)) / refreshSeconds,
    batches: concerned / refreshSeconds,
  };
}

/** The costs that explain the observations best (least squares); none is below zero. */
export function fitCosts(
  observations: readonly Observation[],
  idle: readonly { readonly nodes: number; readonly cpu: number }[],
): Costs {
  const points = observations.map(({ records, batches, idle: rest, cpu }) => ({
    a: records,
    b: batches,
    y: cpu - rest,
  }));
  const [record, batch] = leastSquares(points);
  const [base, perPeer] = leastSquares(
    idle.map(({ nodes, cpu }) => ({ a: 1, b: nodes - 1, y: cpu })),
  );
  return { record, batch, idle: base, idlePerPeer: perPeer };
}

/** CPU of a node of the network, in milliseconds a second. */
export function predict(costs: Costs, shape: NetworkShape): number {
  const { records, batches } = workOf(shape);
  const idle = costs.idle + costs.idlePerPeer * (shape.nodes - 1);
  return idle + records * costs.record + batches * costs.batch;
}

interface Point {
  readonly a: number;
  readonly b: number;
  readonly y: number;
}

/** The p, q >= 0 for which p a + q b is closest to y. */
function leastSquares(points: readonly Point[]): [number, number] {
  const total = (term: (point: Point) => number): number =>
    points.reduce((sum, point) => sum + term(point), 0);
  const [aa, ab, bb] = [
    total(({ a }) => a * a),
    total(({ a, b }) => a * b),
    total(({ b }) => b * b),
  ];
  const [ay, by] = [total(({ a, y }) => a * y), total(({ b, y }) => b * y)];
  const determinant = aa * bb - ab * ab;
  // Points that differ by rounding alone carry no information on the second cost.
  if (determinant > 1e-9 * aa * bb) {
    const [p, q] = [(ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant];
    if (p >= 0 && q >= 0) return [p, q];
    if (p < 0) return [0, Math.max(0, by / bb)];
  }
  return [aa === 0 ? 0 : Math.max(0, ay / aa), 0];
}
