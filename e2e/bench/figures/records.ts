import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { execute } from '../../harness/child.ts';
import { BenchAgent } from '../support/agent.ts';
import { memory, settled } from '../support/proc.ts';
import { Program } from '../support/program.ts';
import { waitFor } from '../../harness/wait.ts';
import type { Report } from '../support/report.ts';

const CROWD = new URL('../programs/crowd.ts', import.meta.url);
const RECORD_MEMORY = fileURLToPath(new URL('../record-memory.ts', import.meta.url));
const PEERS = 100;
const RECORDS_PER_PEER = 200;
/** Peers that the agent knows by name. It connects with some of them, its neighbours. */
const CONTACTS = 1_000;
/** All members that a node comes to know are known when their number has not grown for so long. */
const SETTLED_MS = 15_000;
/** For garbage to be collected: the agent does so after ten idle seconds. */
const PAUSE_MS = 25_000;
const MIB = 1 << 20;

/**
 * Memory of an agent with its share of 100 nodes of 1,000 keys: 20,000 records of 100 connected peers. Then the same of
 * one that knows 1,000 further peers.
 */
export async function measureRecords(report: Report): Promise<void> {
  await measureAgent(report, 0);
  await measureAgent(report, CONTACTS);

  const output = await execute([process.execPath, '--expose-gc', RECORD_MEMORY]);
  for (const [holders, bytes] of Object.entries(JSON.parse(output) as Record<string, number>)) {
    const note = `100,000 records, heap after collection`;
    report.add('records', `heap a record, ${holders} holders a key`, bytes, 'bytes', note);
  }
}

/** How many members the agent knows in the end: in a large network it does not learn of all. */
async function settledPeers(agent: BenchAgent): Promise<number> {
  const now = async (): Promise<number> => (await agent.status())?.peers ?? 0;
  await waitFor('the agent knows the peers', async () => (await now()) >= PEERS);
  let known = PEERS;
  let grewAt = performance.now();
  while (performance.now() - grewAt < SETTLED_MS) {
    await sleep(1000);
    const peers = await now();
    if (peers > known) [known, grewAt] = [peers, performance.now()];
  }
  return known;
}

async function measureAgent(report: Report, contacts: number): Promise<void> {
  await using agent = new BenchAgent(1);
  // The crowd has no key.
  await agent.start({ flags: ['--open'] });
  await waitFor('the agent answers', () => agent.status());
  const look = async (): Promise<{ rss: number; anonymous: number }> => {
    await settled([agent.pid]);
    await sleep(PAUSE_MS);
    return await memory(agent.pid);
  };
  const show = (what: string, { rss, anonymous }: { rss: number; anonymous: number }): void => {
    const note = `${(anonymous / MIB).toFixed(1)} MiB of it anonymous`;
    const further = contacts > 0 ? `, ${contacts} more members` : '';
    report.add('records', `RSS, ${what}${further}`, rss / MIB, 'MiB', note);
  };

  if (contacts === 0) {
    report.progress('records: an agent alone');
    show('alone', await look());
  }
  report.progress(`records: ${PEERS} peers connect, and name ${contacts} others`);
  await using crowd = new Program(CROWD);
  await crowd.ask('others', contacts);
  await crowd.ask('connect', { address: agent.router, count: PEERS });
  const known = await settledPeers(agent);
  report.add('records', `members known, of ${PEERS + contacts}`, known, '');
  const connected = await look();
  show(`${PEERS} peers connected`, connected);
  report.progress(`records: they place ${RECORDS_PER_PEER} records each`);
  await crowd.ask('place', RECORDS_PER_PEER);
  const records = (await agent.status())?.records ?? 0;
  const full = await look();
  show(`${records} records`, full);
  const perRecord = (full.anonymous - connected.anonymous) / records;
  if (contacts > 0) return;
  report.add('records', 'anonymous memory a record', perRecord, 'bytes', 'garbage included');
}
