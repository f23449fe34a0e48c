import { randomBytes } from 'node:crypto';

import { Discovery } from '../../../agent/routing/discovery/discovery.ts';
import { closest, K } from '../../../agent/routing/dht/kademlia.ts';
import { routingKey, type RoutingKey } from '../../../agent/routing/dht/key.ts';
import { ProviderQuery } from '../../../agent/routing/lookup/provider-query.ts';
import type { Membership, DhtPeer } from '../../../agent/routing/node/membership.ts';
import { SimulatedMembership, SimulatedNetwork } from '../../../agent/testing/simulated-network.ts';
import { silent } from '../../../agent/testing/test-network.ts';
import type { Report } from '../support/report.ts';
import { quantile } from '../support/samples.ts';

/** Nodes that look for all others and provide keys, and keys of each. */
const PROVIDERS = 50;
const KEYS = 20;
/** Members far away that each node is connected with, beside the 64 closest: together `--max-connections`. */
const FAR_CONNECTED = 86;
const { signal } = new AbortController();

interface ProvidedKey {
  readonly key: RoutingKey;
  readonly provider: DhtPeer;
}

/**
 * Content routing in networks of a size that no machine has: the real discovery, choice of closest peers and look-ups, in
 * a network without sockets whose nodes know their neighbours and some others. Some nodes, which know one other at
 * first, look for all members and provide keys. Other nodes, which know their connections only, look for these.
 */
export async function measureSimulation(
  report: Report,
  { sizes }: { readonly sizes: readonly number[] },
): Promise<void> {
  for (const size of sizes) await simulate(report, size);
}

async function simulate(report: Report, size: number): Promise<void> {
  report.progress(`simulation: ${size} nodes`);
  const add = (what: string, value: number, unit = '', note = ''): void => {
    report.add('simulation', `${size}: ${what}`, value, unit, note);
  };
  const network = await SimulatedNetwork.open(size, Math.min(FAR_CONNECTED, size - 1));
  const providers = network.peers.slice(0, Math.min(PROVIDERS, size));
  const swept = await Promise.all(providers.map((self, index) => sweep(network, self, index)));
  const learnt = swept.map(
    (membership, index) =>
      membership.members().filter(({ text }) => text !== providers[index]?.text).length,
  );
  add('members learnt by a sweep, at least', Math.min(...learnt), '', `of ${size - 1}`);
  add('questions of a sweep', network.asked / providers.length);

  const keys = provide(network, providers, swept);
  add(
    'closest peer agreed on',
    (100 * agreement(swept, keys)) / keys.length,
    '%',
    'by two providers at random',
  );
  const questions: Record<'hit' | 'miss', number[]> = { hit: [], miss: [] };
  let found = 0;
  for (const [index, { key, provider }] of keys.entries()) {
    const asker = network.peers[(PROVIDERS + index * 31) % size];
    if (asker === undefined || asker === provider) continue;
    if ((await lookUp(network, asker, key, questions.hit)) > 0) found++;
    else report.progress(`simulation: ${key.name} is not found`);
    await lookUp(network, asker, routingKey(randomBytes(16).toString('hex')), questions.miss);
  }
  add('keys found', (100 * found) / questions.hit.length, '%', `of ${questions.hit.length}`);
  for (const kind of ['hit', 'miss'] as const) {
    const note = 'asked until all that should have the record have answered';
    add(
      `questions of a ${kind}, p50`,
      quantile(questions[kind], 0.5),
      '',
      kind === 'hit' ? 'to the first provider' : note,
    );
    add(`questions of a ${kind}, p99`, quantile(questions[kind], 0.99));
  }
}

/** What a node knows that has begun with one other and looked for all. */
async function sweep(
  network: SimulatedNetwork,
  self: DhtPeer,
  index: number,
): Promise<SimulatedMembership> {
  const first = network.peers[(index + 1) % network.peers.length];
  const membership = new SimulatedMembership(first === undefined ? [] : [first]);
  const discovery = new Discovery({ self, client: network.client, membership, logger: silent });
  discovery.start(Promise.resolve());
  await discovery.firstSweep;
  await discovery.stop();
  return membership;
}

/** Gives the records of each provider to the peers that it takes for the closest. */
function provide(
  network: SimulatedNetwork,
  providers: readonly DhtPeer[],
  swept: readonly SimulatedMembership[],
): ProvidedKey[] {
  return providers.flatMap((provider, index) => {
    const members = swept[index]?.members().filter(({ text }) => text !== provider.text) ?? [];
    return Array.from({ length: KEYS }, () => {
      const key = routingKey(randomBytes(16).toString('hex'));
      for (const peer of closest(key.target, members, K)) network.store(peer, key, provider);
      return { key, provider };
    });
  });
}

/** For how many keys two nodes name the same member as the closest. */
function agreement(swept: readonly SimulatedMembership[], keys: readonly ProvidedKey[]): number {
  const nearest = (key: RoutingKey, at: number): string | undefined =>
    closest(key.target, swept[at % swept.length]?.members() ?? [], 1)[0]?.text;
  return keys.filter(({ key }, index) => nearest(key, index) === nearest(key, index + 17)).length;
}

/** Looks up a key as the router does; how many providers were named. The number of questions is added. */
async function lookUp(
  network: SimulatedNetwork,
  asker: DhtPeer,
  key: RoutingKey,
  questions: number[],
): Promise<number> {
  const membership = new SimulatedMembership(network.known(asker));
  const query = new ProviderQuery(
    {
      self: asker,
      client: network.client,
      membership: membership as unknown as Membership,
      logger: silent,
    },
    key,
  );
  let found = 0;
  const before = network.asked;
  const onFound = (peers: readonly unknown[]): void => {
    found += peers.length;
  };
  const isMiss = await query.askFirst(onFound, signal);
  if (found === 0 && !isMiss) await query.askOthers(onFound, signal);
  questions.push(network.asked - before);
  return found;
}
