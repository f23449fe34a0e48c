import { peerIdOf } from '../../routing/lookup/named-provider.ts';
import type { Provider } from '../../routing/router.ts';
import type { Decision } from '../question.ts';
import type { Role } from './participation.ts';
import type { Aim } from './requests-in-hand.ts';

/** When a node that goes upstream without an answer reports this, in milliseconds: others can follow it then. */
const REPORT_MS = 250;

/** The answer when no arbiter has given one. */
export const ALONE = { kind: 'alone', forMs: 0 } as const;

/** Where the content may come from. */
export interface FoundParents {
  readonly decision: Decision;
  /** The peers that the answer names and this node may ask, best first. */
  readonly providers: readonly Provider[];
}

/** When the arbiter wants the next report; undefined when it wants none. One that was late or silent may take a report all the same. */
export function renewMsOf(decision: Decision): number | undefined {
  if (decision.kind === 'alone') return decision.forMs === 0 ? REPORT_MS : undefined;
  return 'renewMs' in decision ? decision.renewMs : undefined;
}

/** What this node does after the answer; undefined when it does what it did before. */
export function roleOf({ decision, providers }: FoundParents, aim: Aim): Role | undefined {
  const [provider] = providers;
  switch (decision.kind) {
    case 'fetch':
      if (aim === 'follow') return undefined;
      return { state: aim === 'take' ? 'taking' : 'fetching' };
    case 'alone':
      return aim === 'fetch' ? { state: 'fetching' } : undefined;
    case 'follow':
    case 'held':
      return provider && { state: 'following', parent: peerIdOf(provider.peerId) };
    case 'go-on':
      return undefined;
  }
}

/** The peers that an answer names. */
export function peersOf(decision: Decision | undefined): readonly string[] {
  if (decision?.kind === 'follow') return [decision.parent.peerId];
  return decision?.kind === 'held' ? decision.holders.map(({ peerId }) => peerId) : [];
}

export function alone(forMs: number): FoundParents {
  return { decision: { ...ALONE, forMs }, providers: [] };
}
