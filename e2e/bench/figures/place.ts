import { setTimeout as sleep } from 'node:timers/promises';

import { HeadClient, searchAll } from '../support/head-client.ts';
import { totalRecords } from '../support/network.ts';
import { totalCpuMs } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { median } from '../support/samples.ts';
import type { Stage } from '../support/stage.ts';

const LOOK_MS = 300;
/** Agents whose records are looked at: telling of them costs CPU too. */
const LOOKED_AT = 3;
/** Keys of the start that shows what a start costs by itself: one image. */
const FEW_KEYS = 50;
/** A holder has started when no record and no peer came for this time, in milliseconds. */
const QUIET_MS = 2000;
const LIMIT_MS = 120_000;
/** Sampled keys, whose look-ups show when all keys are found. */
const SAMPLE = 100;
/** Agents that look for all keys, one after another. */
const WATCHERS = 2;
/** How long a key may stay lost before it counts as such. */
const WATCH_MS = 10_000;
/** What placing the keys of one agent came to. */
interface Placing {
  readonly cpuMs: number;
  readonly keys: number;
  readonly seconds: number;
}

/**
 * What it costs the whole network to place the keys of an agent that starts, and how soon they are found.
 * Two kinds of starts, as looking for the keys costs CPU as well. Leaves a holder running.
 */
export async function measurePlacement(
  stage: Stage,
  report: Report,
  { rounds }: { readonly rounds: number },
): Promise<void> {
  const placings: Placing[] = [];
  const marginal: number[] = [];
  for (let round = 0; round < rounds; round++) {
    report.progress(`place: round ${round + 1} of ${rounds}, the CPU`);
    const few = await placeOnce(stage, report, FEW_KEYS);
    const all = await placeOnce(stage, report);
    placings.push(all);
    marginal.push((all.cpuMs - few.cpuMs) / (all.keys - few.keys));
  }
  const costs = placings.map(({ cpuMs, keys }) => cpuMs / keys);
  const listed = (values: readonly number[]): string =>
    `rounds: ${values.map((value) => value.toFixed(2)).join(' ')}`;
  report.add('place', 'CPU a key', median(marginal), 'ms', `beyond a start; ${listed(marginal)}`);
  const included = `a start included; ${listed(costs)}`;
  report.add('place', 'CPU a key with the start', median(costs), 'ms', included);
  const times = placings.map(({ seconds }) => seconds * 1000);
  const looked = `after exec; looked at every ${LOOK_MS} ms`;
  report.add('place', 'all records placed', median(times), 'ms', looked);

  report.progress('place: how soon they are found');
  await findOnce(stage, report);
}

/**
 * Starts a holder, and ends it. CPU of all agents until the last record was placed and the last peer known. That is seen
 * by their numbers in `/debug/status`, which costs little.
 */
async function placeOnce(stage: Stage, report: Report, wanted?: number): Promise<Placing> {
  const { others } = stage;
  const holder = await stage.prepareHolder(wanted);
  const stale = await totalRecords(others);
  const some = others.slice(0, LOOKED_AT);
  const before = await totalCpuMs(others.map(({ pid }) => pid));
  const started = performance.now();
  await stage.startHolder();
  let last = { records: await totalRecords(some), peers: 0, cpuMs: 0 };
  let [placedAt, changedAt] = [started, started];
  for (;;) {
    await sleep(LOOK_MS);
    const now = performance.now();
    const [records, state] = [await totalRecords(some), await holder.status()];
    const peers = state?.peers ?? 0;
    const cpuMs = (await stage.cpuMs()) - before;
    if (records !== last.records) placedAt = now;
    if (records !== last.records || peers !== last.peers) {
      last = { records, peers, cpuMs };
      changedAt = now;
    } else if (last.cpuMs > 0 && now - changedAt > QUIET_MS) break;
    if (now - started > LIMIT_MS) throw new Error('no record is ever placed');
  }
  const records = (await totalRecords(others)) - stale;
  const keys = (await holder.status())?.advertisedKeys ?? 0;
  if (keys !== stage.paths.length || records < keys) {
    throw new Error(`${keys} of ${stage.paths.length} keys advertised, ${records} records`);
  }
  const { cpuMs } = last;
  const seconds = (placedAt - started) / 1000;
  report.progress(
    `place: ${keys} keys, ${records} records, ${cpuMs} ms of CPU, ${seconds.toFixed(1)} s`,
  );
  await stage.stopHolder();
  // Connections and records of this holder are cleared away, which must not count for the next one.
  await stage.settled(report);
  return { cpuMs, keys, seconds };
}

async function findOnce(stage: Stage, report: Report): Promise<void> {
  await stage.prepareHolder();
  const { others, paths } = stage;
  const [first, ...rest] = others;
  if (first === undefined) throw new Error('there is no agent to ask');
  await using client = new HeadClient(first.mirror);
  const started = performance.now();
  await stage.startHolder();
  for (let next = 0; ; next++) {
    const { status } = await client.head(paths[next % paths.length] ?? '');
    if (status === 200) break;
    if (performance.now() - started > LIMIT_MS) throw new Error('no key is ever found');
    await sleep(10);
  }
  report.add('place', 'first key found', performance.now() - started, 'ms', 'after exec');
  const sample = paths.filter((_, index) => index % Math.ceil(paths.length / SAMPLE) === 0);
  const soon = await searchAll(first.mirror, sample, LIMIT_MS);
  const few = `after exec; ${sample.length} keys, as asking for all takes longer than placing them`;
  report.add('place', 'last key of a sample found', soon.lastAt - started, 'ms', few);
  const { lastAt, lost } = await searchAll(first.mirror, paths, LIMIT_MS);
  const all = `after exec; one agent asked for all ${paths.length}, ${lost} lost`;
  report.add('place', 'last key found', lastAt - started, 'ms', all);

  const stride = Math.max(1, Math.floor(rest.length / WATCHERS));
  const watchers = rest.filter((_, index) => index % stride === 0).slice(0, WATCHERS);
  let missed = 0;
  let missing = lost;
  for (const { mirror } of watchers) {
    const result = await searchAll(mirror, paths, WATCH_MS);
    missed += result.missedAtFirst;
    missing += result.lost;
  }
  const asked = `from ${watchers.length} more agents; not at the first request: ${missed}`;
  report.add('place', 'keys lost', missing, '', asked);
}

/** Looks for all keys once more, from an agent, when much time has gone. */
export async function measureLost(stage: Stage, report: Report): Promise<void> {
  const watcher = stage.others.at(-1);
  if (watcher === undefined) throw new Error('there is no agent to ask');
  const { lost, missedAtFirst } = await searchAll(watcher.mirror, stage.paths, WATCH_MS);
  const note = `not at the first request: ${missedAtFirst}`;
  report.add('place', 'keys lost at the end', lost, '', note);
}
