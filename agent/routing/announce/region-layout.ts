import type { RoutingKey } from '../dht/key.ts';

/**
 * Nodes in a region, at least, when the layout is made: up to 48 when their number has grown. A carrier is connected with
 * the 64 closest to itself (see `Connector`): with regions of 32 nodes these are nearly all that are to keep a record.
 */
const NODES_PER_REGION = 16;
/** The number of nodes must be so many times that of the layout, or that part of it, before another layout is made. */
const MUCH = 1.5;
const BITS = 32;

/** A part of the key space: the points that begin with the same bits. */
export interface RegionId {
  readonly bits: number;
  /** The leading bits, as a number. */
  readonly prefix: number;
}

/** Divides the key space into regions of 16 to 32 nodes. It changes seldom: all keys are announced anew then. */
export class RegionLayout {
  #size = 0;
  #bits = 0;

  /** Takes a new estimate of the number of nodes; whether the regions are others now. */
  follow(size: number): boolean {
    if (size <= this.#size * MUCH && size * MUCH >= this.#size) return false;
    this.#size = size;
    const bits = Math.max(0, Math.floor(Math.log2(size / NODES_PER_REGION)));
    const isOther = bits !== this.#bits;
    this.#bits = bits;
    return isOther;
  }

  regionOf({ target }: Pick<RoutingKey, 'target'>): RegionId {
    return { bits: this.#bits, prefix: Math.floor(target / 2 ** (BITS - this.#bits)) };
  }
}

/** Labels of one region: more keys than an announcement takes are divided. */
export const MAX_PARTS = 64;

/** A point in the middle of the region. */
export function centreOf({ bits, prefix }: RegionId): number {
  return Math.floor((prefix + 0.5) * 2 ** (BITS - bits));
}

/** The region as a number: its announcements have {@link MAX_PARTS} labels from so many times that number on. */
export function labelOf({ bits, prefix }: RegionId): number {
  return 2 ** bits + prefix;
}

/** Whether a point of the key space lies in the region. */
export function isWithin({ bits, prefix }: RegionId, point: number): boolean {
  return Math.floor(point / 2 ** (BITS - bits)) === prefix;
}

/** The region of a label that {@link labelOf} has made, or undefined. */
export function regionOfLabel(label: number): RegionId | undefined {
  const bits = Math.floor(Math.log2(label));
  if (!(bits >= 0 && bits <= BITS)) return undefined;
  return { bits, prefix: label - 2 ** bits };
}
