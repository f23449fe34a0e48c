import { waitFor } from '../../harness/wait.ts';
import { Program } from '../support/program.ts';
import { settled, totalCpuMs } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { quantile } from '../support/samples.ts';

const NODE = new URL('../programs/naive-node.ts', import.meta.url);
const KEYS = 40;
const MISSES = 60;
const CONNECT_MS = 60_000;
/** Part of the others that a node's routing table is waited for to have: its full buckets take no more. */
const KNOWN = 0.9;

/** The cost of the same work with plain libp2p: one node provides keys, and looks up keys without providers. */
export async function measureNaive(
  report: Report,
  { nodes: count }: { readonly nodes: number },
): Promise<void> {
  report.progress(`naive: starting ${count} nodes of plain libp2p`);
  await using parts = new AsyncDisposableStack();
  const nodes = Array.from({ length: count }, () => parts.use(new Program(NODE)));
  const addresses = await Promise.all(nodes.map((node) => node.ask('address')));
  for (const [index, node] of nodes.entries()) await node.ask('dial', addresses.slice(0, index));
  // The routing table takes those only that have answered it.
  await waitFor(
    'the routing tables are filled',
    async () => {
      const sizes = await Promise.all(nodes.map((node) => node.ask('peers')));
      if (Math.min(...sizes.map(Number)) < KNOWN * (count - 1)) throw new Error(sizes.join(' '));
      return true;
    },
    { timeoutMs: CONNECT_MS, everyMs: 500 },
  ).catch((error: unknown) => {
    report.progress(`naive: ${String(error)}: ${String((error as Error).cause)}`);
  });
  const [provider, seeker] = nodes;
  if (provider === undefined || seeker === undefined) throw new Error('too few nodes');
  const pids = nodes.map(({ pid }) => pid);
  await settled(pids);
  const cpuOf = async (work: () => Promise<unknown>): Promise<number> => {
    const before = await totalCpuMs(pids);
    await work();
    return (await totalCpuMs(pids)) - before;
  };

  report.progress('naive: provide() and findProviders()');
  // The first call waits for the routing table to be refreshed.
  await provider.ask('provide', 1);
  await seeker.ask('miss', 1);
  const provided = await cpuOf(() => provider.ask('provide', KEYS));
  report.add('naive', 'CPU a key', provided / KEYS, 'ms', `${KEYS} keys, start-up not included`);
  let times: number[] = [];
  const missed = await cpuOf(async () => {
    times = (await seeker.ask('miss', MISSES)) as number[];
  });
  report.add('naive', 'miss CPU', missed / MISSES, 'ms', `${MISSES} keys that no node has`);
  report.add('naive', 'miss p50', quantile(times, 0.5), 'ms', 'without HTTP');
  report.add('naive', 'miss p99', quantile(times, 0.99), 'ms');
}
