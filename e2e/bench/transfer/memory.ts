import { setTimeout as sleep } from 'node:timers/promises';

import type { ClusterNode } from '../../harness/cluster.ts';
import { blobPathOf } from '../../harness/mirror.ts';
import { download } from '../support/load.ts';
import { MemorySampler } from '../support/memory-sampler.ts';
import { memory } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { atOwnMirror, layerOf, type TransferStage } from '../support/transfer-stage.ts';

const TRANSFERS = 200;
/** Of each of the slow clients: with all of them together less than a link of 1 Gbit/s. */
const SLOW_BYTES_PER_SECOND = 256 * 1024;
/** The last of these clients has to wait for its first byte. */
const TIMES_AS_LONG = 3;
const SETTLE_MS = 5000;
const MIB = 1 << 20;

/**
 * Memory of two agents while 200 clients download a layer of 1 GiB through one from the other: at full speed, and
 * slowly, so that all that can be buffered is.
 */
export async function measureMemory(
  stage: TransferStage,
  report: Report,
  { seconds }: { readonly seconds: number },
): Promise<void> {
  const { a, b } = stage;
  const image = await stage.large();
  const url = atOwnMirror(blobPathOf(image, layerOf(image).digest));
  const nodes = { holder: a, 'asked agent': b } as const;
  await eachOf(nodes, async (name, { agent }) => {
    addMemory(report, `${name}, before`, await memory(agent.pid));
  });
  const paces = { fast: {}, slow: { bytesPerSecond: SLOW_BYTES_PER_SECOND } } as const;
  for (const [pace, options] of Object.entries(paces)) {
    report.progress(`memory: ${TRANSFERS} ${pace} clients`);
    const samplers = [a, b].map(({ agent }) => new MemorySampler(agent.pid));
    const taken = await download(b.host, {
      url,
      clients: TRANSFERS,
      seconds: TIMES_AS_LONG * seconds,
      ...options,
    });
    const peaks = await Promise.all(samplers.map((sampler) => sampler.stop()));
    const { bytes, servedClients, statuses } = taken;
    const rate = bytes / MIB / taken.seconds;
    const note = `${Math.round(rate)} MiB/s; answers and ends: ${JSON.stringify(statuses)}`;
    report.add('memory', `${pace} clients served, of ${TRANSFERS}`, servedClients, '', note);
    for (const [index, name] of Object.keys(nodes).entries()) {
      const peak = peaks[index];
      if (peak !== undefined) addMemory(report, `${name}, ${pace} clients, at most`, peak);
    }
    await sleep(SETTLE_MS);
    await eachOf(nodes, async (name, { agent }) => {
      addMemory(report, `${name}, after ${pace} clients`, await memory(agent.pid));
    });
  }
}

async function eachOf(
  nodes: Readonly<Record<string, ClusterNode>>,
  work: (name: string, node: ClusterNode) => Promise<void>,
): Promise<void> {
  for (const [name, node] of Object.entries(nodes)) await work(name, node);
}

function addMemory(
  report: Report,
  what: string,
  { rss, anonymous }: { readonly rss: number; readonly anonymous: number },
): void {
  const note = `${Math.round(anonymous / MIB)} of it anonymous; goal: at most 128`;
  report.add('memory', what, Math.round(rss / MIB), 'MiB', note);
}
