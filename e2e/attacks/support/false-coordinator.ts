import { fileURLToPath } from 'node:url';

import type { Host } from '../../harness/namespaces.ts';
import { OrderedMember } from './ordered-member.ts';

const PROGRAM = fileURLToPath(new URL('false-coordinator-main.ts', import.meta.url));

/** What a false coordinator answers the questions about tags with. */
export const LIES = [
  // No answer, or none that can be read.
  'silence',
  'garbage',
  // Each node is to ask the registry, or to do as if there were no coordinator.
  'ask',
  'alone',
  // Another node asks: all the time, or for a part of a resolve, after which each is to ask.
  'wait',
  'wait-and-ask',
] as const;

/** A manifest that it names. */
export interface Named {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
}

/** An order; what is left out ends. */
export interface Order {
  /** `tell`: the tag means {@link named}. Default: as before. */
  readonly lie?: (typeof LIES)[number] | 'tell';
  readonly named?: Named;
  /** Questions a second to each member, all of which are about another tag. */
  readonly questionsPerSecond?: number;
  /** The name of a tag of which it says to each member, ten times a second, that it asks the registry. */
  readonly asksFor?: string;
  /** Whether it also reports {@link named} for that tag each time, and asks anew. Default: it never reports. */
  readonly reports?: boolean;
}

/** Coordinates nodes that ask what tags mean as it is ordered. */
export type FalseCoordinator = OrderedMember<Order>;

/** @param peers addresses of the nodes that it joins */
export function startFalseCoordinator(
  host: Host,
  peers: readonly string[],
): Promise<FalseCoordinator> {
  return OrderedMember.start(PROGRAM, host, peers);
}
