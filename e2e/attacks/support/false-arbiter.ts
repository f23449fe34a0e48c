import { fileURLToPath } from 'node:url';

import type { Host } from '../../harness/namespaces.ts';
import { OrderedMember } from './ordered-member.ts';

const PROGRAM = fileURLToPath(new URL('false-arbiter-main.ts', import.meta.url));

/** What a false arbiter answers the questions about downloads with. */
export const LIES = [
  // Each node is to fetch, or to do as if there were no arbiter.
  'fetch',
  'alone',
  // Whom to follow: the node that asks; a machine that is not there; the liar, and peers that do not exist, at a port that
  // takes connections and says nothing; addresses of something else.
  'follow-asker',
  'follow-dead',
  'follow-liar',
  'follow-invented',
  'follow-forbidden',
  'held-dead',
  // The liar, which sends two thousand bytes of a layer in a second.
  'follow-dripping',
  // No answer that can be read, and none at all.
  'garbage',
  'silence',
] as const;
export type Lie = (typeof LIES)[number];

/** What a false arbiter does beside its answers. */
export interface Mischief {
  /** Questions a second to each member, all of which name another digest. */
  readonly questionsPerSecond?: number;
  /** Digests that it reports to hold, to each member, and again ten times a second. */
  readonly claims?: readonly string[];
}

/** An order, or nothing of it to leave the rest as it is. */
export interface Order extends Mischief {
  readonly lie?: Lie;
  /** Folder of the OCI layout that its registry drips; its registry says nothing until the next order without one. */
  readonly drips?: string;
}

/** Decides on downloads as it is ordered. */
export type FalseArbiter = OrderedMember<Order>;

/** @param peers addresses of the nodes that it joins */
export function startFalseArbiter(host: Host, peers: readonly string[]): Promise<FalseArbiter> {
  return OrderedMember.start(PROGRAM, host, peers);
}
