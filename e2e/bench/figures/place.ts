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
/** All records are provided when no new one came for this time, in milliseconds. */
const QUIET_MS = 2000;
const LIMIT_MS = 120_000;
/** Sampled keys, whose look-ups show when all keys are found. */
const SAMPLE = 100;
/** Agents that look for all keys, one after another. */
const WATCHERS = 2;
/** How long a key may stay lost before it counts as such. */
const WATCH_MS = 10_000;
/** A break between two starts: connections and records of the last holder are cleared away. */
const BREAK_MS = 5000;

/** What placing the keys of one agent came to. */
interface Placing {
  readonly cpuMs: number;
  readonly keys: number;
  readonly records: number;
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
  const costs: number[] = [];
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    report.progress(`place: round ${round + 1} of ${rounds}, the CPU`);
    const { cpuMs, keys, records, seconds } = await placeOnce(stage);
    costs.push(cpuMs / keys);
    times.push(seconds * 1000);
    report.progress(
      `place: ${keys} keys, ${records} records, ${cpuMs} ms of CPU, ${seconds.toFixed(1)} s`,
    );
    await stage.stopHolder();
    await sleep(BREAK_MS);
  }
  const all = costs.map((cost) => cost.toFixed(2)).join(' ');
  report.add('place', 'CPU a key', median(costs), 'ms', `start-up included; rounds: ${all}`);
  const looked = `after exec; looked at every ${LOOK_MS} ms`;
  report.add('place', 'all records placed', median(times), 'ms', looked);

  report.progress('place: how soon they are found');
  await findOnce(stage, report);
}

/**
 * Starts a holder; CPU of all agents until the last record was placed. That is seen by their number in
 * `/debug/status`, which costs little.
 */
async function placeOnce(stage: Stage): Promise<Placing> {
  const { others } = stage;
  const holder = await stage.prepareHolder();
  const stale = await totalRecords(others);
  const some = others.slice(0, LOOKED_AT);
  const before = await totalCpuMs(others.map(({ pid }) => pid));
  const started = performance.now();
  await stage.startHolder();
  let last = { records: await totalRecords(some), at: started, cpuMs: 0 };
  for (;;) {
    await sleep(LOOK_MS);
    const now = performance.now();
    const records = await totalRecords(some);
    const cpuMs = (await stage.cpuMs()) - before;
    if (records !== last.records) last = { records, at: now, cpuMs };
    else if (last.cpuMs > 0 && now - last.at > QUIET_MS) break;
    if (now - started > LIMIT_MS) throw new Error('no record is ever placed');
  }
  const records = (await totalRecords(others)) - stale;
  const keys = (await holder.status())?.advertisedKeys ?? 0;
  if (keys !== stage.paths.length || records < keys) {
    throw new Error(`${keys} of ${stage.paths.length} keys advertised, ${records} records`);
  }
  return { cpuMs: last.cpuMs, keys, records, seconds: (last.at - started) / 1000 };
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
