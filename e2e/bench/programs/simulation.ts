/** Simulates one network and reports its figures to its parent, see `figures/simulation.ts`. */
import type { Member } from '../../../agent/testing/simulation/simulated-network.ts';
import { SimulatedNetwork } from '../../../agent/testing/simulation/simulated-network.ts';
import { median, quantile, sum } from '../support/samples.ts';
import {
  advertise,
  agreement,
  lookUpKeys,
  measureTraffic,
  newKeys,
  replace,
} from '../support/simulated-scenario.ts';
import type { AdvertisedKey, Interval, LookupFigures } from '../support/simulated-scenario.ts';

/** What to simulate: the argument of the program, as JSON. */
export interface SimulationInit {
  readonly nodes: number;
  /** Providers with many keys. */
  readonly providers: number;
  /** Keys of each of these. */
  readonly keys: number;
  /** Virtual hours in which 1 % of the nodes an hour are replaced. */
  readonly hours: number;
  readonly toldOfAll: boolean;
  /** Whether the network has been there for long, see `SimulatedNetworkInit`. */
  readonly isWarm: boolean;
  /** Keys that are looked up after each step. */
  readonly lookups: number;
  /** Virtual minutes in which traffic is counted. */
  readonly minutes: number;
}

/** A message to the parent: a figure, or what the program is doing. */
export interface SimulationMessage {
  readonly what: string;
  readonly value?: number;
  readonly unit?: string;
  readonly note?: string;
}

const MINUTE_MS = 60_000;
/** Virtual time between two lines about the progress at the start. */
const STEP_MS = 5000;
/** Keys of the nodes that are no providers with many. */
const FEW_KEYS = 2;

const init = JSON.parse(process.argv[2] ?? '{}') as SimulationInit;
const HITS = init.lookups;
const MISSES = Math.ceil(0.4 * HITS);
const PAIRS = 2 * HITS;
const clockOfProcess = process.hrtime.bigint.bind(process.hrtime);
const began = clockOfProcess();
const network = await SimulatedNetwork.open({
  count: init.nodes,
  toldOfAll: init.toldOfAll,
  isWarm: init.isWarm,
  onStarted: (started) => {
    if (started % Math.ceil(init.nodes / 10) === 0) progress(`${started} have started`);
  },
});

// A warm network has learnt nearly all from the beginning.
const settling = init.isWarm ? 1 : 4;
for (let passed = 0; passed < settling * MINUTE_MS; passed += STEP_MS) {
  await network.clock.run(STEP_MS);
  progress(`${network.clock.now / 1000} virtual seconds`);
}
const known = network.members.map(({ router }) => router.status().peers);
add(
  `members known ${settling} min after the start, at least`,
  Math.min(...known),
  '',
  `of ${init.nodes - 1}`,
);

const step = Math.floor(init.nodes / init.providers);
const providers = network.members.filter((_, at) => at % step === 1).slice(0, init.providers);
let keys: AdvertisedKey[] = [];
for (const member of network.members) {
  const isProvider = providers.includes(member);
  const advertised = advertise(member, isProvider ? init.keys : FEW_KEYS);
  if (isProvider) keys.push(...advertised);
}
await network.clock.run(MINUTE_MS);
report('', await lookUpKeys(network, sample(keys, HITS), 20_000));
reportMisses(await lookUpKeys(network, newKeys(MISSES).map(named), 20_000));
await reportAgreement('');

const interval = await measureTraffic(network, init.minutes * MINUTE_MS, () => {
  progress(`${Math.round(network.clock.now / MINUTE_MS)} virtual minutes`);
});
reportTraffic(interval);

network.kill(sample(network.members, Math.floor(init.nodes / 10)));
await network.clock.run(30_000);
report(' 30 s after 10 % were killed', await lookUpKeys(network, alive(HITS), 1000));
await reportAgreement(' then');
await network.clock.run(2 * MINUTE_MS);

await replace(network, Math.floor(init.nodes / 5), MINUTE_MS);
report(' when 20 % were replaced in 1 min', await lookUpKeys(network, alive(HITS), 1000));
await reportAgreement(' then');

if (init.hours > 0) {
  const replaced = Math.max(1, Math.round((init.nodes * init.hours) / 100));
  const isOther = (member: Member): boolean => !providers.includes(member);
  await network.clock.run(5 * MINUTE_MS);
  const churn = { found: [] as number[] };
  for (let hour = 0; hour < init.hours; hour++) {
    await replace(network, Math.max(1, Math.round(replaced / init.hours)), 60 * MINUTE_MS, isOther);
    const { foundPercent } = await lookUpKeys(network, alive(HITS / 5), 1000);
    churn.found.push(foundPercent);
    progress(`${hour + 1} hours with replacements: ${foundPercent} % found`);
  }
  const note = `1 % an hour replaced for ${init.hours} h`;
  add('keys found, mean of every hour', sum(churn.found) / churn.found.length, '%', note);
  add('keys found, worst hour', Math.min(...churn.found), '%', note);
  await reportAgreement(' then');
}
add('peak memory of the simulation', process.resourceUsage().maxRSS / 1024, 'MiB');
add('wall time of the simulation', seconds(), 's', `${network.clock.fired} timers fired`);
process.exit();

/** Keys whose provider is alive. */
function alive(count: number): AdvertisedKey[] {
  keys = keys.filter(({ provider }) => network.members.includes(provider));
  return sample(keys, count);
}

function report(when: string, { foundPercent, lookups }: LookupFigures): void {
  const found = lookups.filter((lookup) => lookup.found);
  add(`keys found${when}`, foundPercent, '%', `of ${lookups.length}`);
  const rounds = found.map((lookup) => lookup.rounds);
  const times = found.map(({ milliseconds }) => milliseconds);
  addQuantiles(`rounds of a hit${when}`, rounds, '');
  addQuantiles(`time of a hit${when}`, times, 'ms');
  if (when !== '') return;
  addQuantiles(
    'requests of a hit',
    found.map(({ requests }) => requests),
    '',
  );
}

function reportMisses({ lookups }: LookupFigures): void {
  for (const [what, unit] of [
    ['rounds', ''],
    ['requests', ''],
    ['milliseconds', 'ms'],
  ] as const) {
    const name = what === 'milliseconds' ? 'time' : what;
    addQuantiles(
      `${name} of a miss`,
      lookups.map((lookup) => lookup[what]),
      unit,
    );
  }
}

async function reportAgreement(when: string): Promise<void> {
  const { agreedPercent, rightPercent } = await agreement(network, PAIRS);
  add(`two nodes name the same closest member${when}`, agreedPercent, '%', `${PAIRS} pairs`);
  add(`the closest member is the right one${when}`, rightPercent, '%');
}

function reportTraffic({ seconds: duration, messages, bytes, dials }: Interval): void {
  const connections = network.members.map(({ node }) => node.connectionCount);
  add('connections of a node, median', median(connections));
  add('connections of a node, max', Math.max(...connections));
  const most = network.members.map(({ node }) => node.traffic.mostConnections);
  add('connections of a node at any time, max', Math.max(...most));
  for (const [what, unit, amounts] of [
    ['messages', '/s', messages],
    ['bytes', 'B/s', bytes],
  ] as const) {
    const of = (isProvider: boolean): number[] =>
      [...amounts]
        .filter(([member]) => providers.includes(member) === isProvider)
        .map(([, n]) => n);
    const others = of(false).map((amount) => amount / duration);
    add(`${what} of a node in steady state, mean`, sum(others) / others.length, unit, 'both ways');
    add(`${what} of a node in steady state, max`, Math.max(...others), unit);
    const mine = of(true);
    const mean = sum(mine) / mine.length;
    add(`${what} of a provider, mean`, mean / duration, unit, `${init.keys} keys`);
    const caused = mean - (sum(others) / others.length) * duration;
    const note = 'in the whole network, beyond the traffic of a node with few keys';
    add(`${what} that a provider causes per refresh`, caused, unit.replace('/s', ''), note);
  }
  add('dials of a node in steady state', sum([...dials.values()]) / dials.size / duration, '/s');
  for (const [kind, amount] of network.byKind.all().slice(0, 8)) {
    const perNode = 1 / duration / init.nodes;
    const note = `${(amount.messages * perNode).toPrecision(2)} messages/s`;
    add(`${kind}, sent by a node`, amount.bytes * perNode, 'B/s', note);
  }
}

function addQuantiles(what: string, values: readonly number[], unit: string): void {
  if (values.length === 0) return;
  for (const q of [0.5, 0.99]) add(`${what}, p${100 * q}`, quantile(values, q), unit);
}

function sample<T>(values: readonly T[], count: number): T[] {
  const shuffled = [...values];
  for (let at = 0; at < Math.min(count, shuffled.length); at++) {
    const other = at + Math.floor(Math.random() * (shuffled.length - at));
    [shuffled[at], shuffled[other]] = [shuffled[other] as T, shuffled[at] as T];
  }
  return shuffled.slice(0, count);
}

function named(name: string): { readonly name: string } {
  return { name };
}

function seconds(): number {
  return Number(clockOfProcess() - began) / 1e9;
}

function progress(what: string): void {
  process.send?.({
    what: `${what}, ${seconds().toFixed(0)} s, ${(process.memoryUsage.rss() / 1e9).toFixed(1)} GB`,
  } satisfies SimulationMessage);
}

function add(what: string, value: number, unit = '', note = ''): void {
  process.send?.({ what, value, unit, note } satisfies SimulationMessage);
}
