import { createHash } from 'node:crypto';

import type {
  Lookup,
  Member,
  SimulatedNetwork,
} from '../../../agent/testing/simulation/simulated-network.ts';

/** A part of the time in which look-ups are spread, in milliseconds. */
const STEP_MS = 100;
/** How long after the last look-up they may end, in milliseconds. */
const ENDING_MS = 10_000;

/** A key and the member that advertises it. */
export interface AdvertisedKey {
  readonly name: string;
  readonly provider: Member;
}

/** What some look-ups have found. */
export interface LookupFigures {
  readonly foundPercent: number;
  readonly lookups: readonly Lookup[];
}

/** Traffic of all nodes in an interval. */
export interface Interval {
  readonly seconds: number;
  readonly messages: ReadonlyMap<Member, number>;
  readonly bytes: ReadonlyMap<Member, number>;
  readonly dials: ReadonlyMap<Member, number>;
}

let named = 0;

/** Names of keys that were not used before. */
export function newKeys(count: number): string[] {
  return Array.from({ length: count }, () => {
    const digest = createHash('sha256').update(`key ${named++}`).digest('hex');
    return `sha256:${digest}`;
  });
}

/** Lets a member advertise new keys. The records are sent while the clock runs. */
export function advertise(provider: Member, count: number): AdvertisedKey[] {
  const names = newKeys(count);
  provider.router.advertise(names).catch(() => undefined);
  return names.map((name) => ({ name, provider }));
}

/** Looks keys up from random members other than the provider, spread over a time, and lets the clock run. */
export async function lookUpKeys(
  network: SimulatedNetwork,
  keys: readonly { readonly name: string; readonly provider?: Member }[],
  spreadMs: number,
): Promise<LookupFigures> {
  const steps = Math.max(1, Math.floor(spreadMs / STEP_MS));
  const pending: Promise<Lookup>[] = [];
  for (let step = 0; step < steps; step++) {
    for (let at = step; at < keys.length; at += steps) {
      const key = keys[at];
      const asker = randomMember(network, key?.provider);
      if (key !== undefined) pending.push(network.lookUp(asker, key.name));
    }
    await network.clock.run(STEP_MS);
  }
  await network.clock.run(ENDING_MS);
  const lookups = await Promise.all(pending);
  const found = lookups.filter((lookup) => lookup.found).length;
  return { foundPercent: (100 * found) / lookups.length, lookups };
}

/** What part of pairs of random members name the same member as the closest to a random key, and name the right one. */
export async function agreement(
  network: SimulatedNetwork,
  pairs: number,
): Promise<{ readonly agreedPercent: number; readonly rightPercent: number }> {
  const answers = newKeys(pairs).map(async (name) => {
    const askers = [randomMember(network), randomMember(network)];
    const named = askers.map(async ({ router }) => {
      // The port may ask others.
      const [nearest] = await Promise.resolve(router.closest(name, 1));
      return nearest?.peerId;
    });
    return { name, named: await Promise.all(named) };
  });
  await network.clock.run(ENDING_MS);
  let agreed = 0;
  let right = 0;
  for (const { name, named } of await Promise.all(answers)) {
    const nearest = network.closestTo(name)?.router.peerId;
    if (named[0] === named[1]) agreed += 1;
    for (const peerId of named) if (peerId === nearest) right += 0.5;
  }
  return { agreedPercent: (100 * agreed) / pairs, rightPercent: (100 * right) / pairs };
}

/** Lets time pass, and counts what each member sends and receives in it. */
export async function measureTraffic(
  network: SimulatedNetwork,
  milliseconds: number,
  onMinute: () => void,
): Promise<Interval> {
  const before = network.members.map(({ node: { traffic } }) => {
    const { messages, bytes, dials } = traffic;
    return { messages, bytes, dials };
  });
  const { members } = network;
  network.byKind.clear();
  for (let passed = 0; passed < milliseconds; passed += 60_000) {
    await network.clock.run(Math.min(60_000, milliseconds - passed));
    onMinute();
  }
  const since = (what: 'messages' | 'bytes' | 'dials'): Map<Member, number> =>
    new Map(
      members.map((member, index) => {
        return [member, member.node.traffic[what] - (before[index]?.[what] ?? 0)];
      }),
    );
  return {
    seconds: milliseconds / 1000,
    messages: since('messages'),
    bytes: since('bytes'),
    dials: since('dials'),
  };
}

/** Replaces members by new ones, evenly over a time: the old ones end without a word. */
export async function replace(
  network: SimulatedNetwork,
  count: number,
  milliseconds: number,
  isReplaced: (member: Member) => boolean = () => true,
): Promise<void> {
  for (let replaced = 0; replaced < count; replaced++) {
    const candidates = network.members.filter(isReplaced);
    const member = candidates[Math.floor(Math.random() * candidates.length)];
    if (member !== undefined) {
      network.kill([member]);
      await network.add();
    }
    await network.clock.run(milliseconds / count);
  }
}

/** A random member, other than this one. */
function randomMember({ members }: SimulatedNetwork, except?: Member): Member {
  const candidates = members.length - (except !== undefined && members.includes(except) ? 1 : 0);
  const at = Math.floor(Math.random() * candidates);
  const member = members[at];
  const chosen = member === except ? members.at(-1) : member;
  if (chosen === undefined) throw new Error('the network has no member');
  return chosen;
}
