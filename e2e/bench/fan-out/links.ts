import { readFileSync, writeFileSync } from 'node:fs';

import type { Host } from '../../harness/namespaces.ts';

/**
 * tbf cuts packets that are larger than the burst, and the kernel hands over up to 64 KiB at once: cutting them costs
 * more than all else here. The queue is that of a switch: 500 KB at 200 Mbit/s.
 */
const QUEUE = { burst: '128kb', latency: '20ms' } as const;

/** What distributions have by default. This kernel may have another, which namespaces inherit. */
const CONGESTION_CONTROL = 'cubic';

/** Entries of the neighbour table, which all network namespaces share: the defaults are too few for 32 nodes. */
const NEIGHBOURS = { gc_thresh1: 8192, gc_thresh2: 16_384, gc_thresh3: 32_768 } as const;

const SETTINGS = '/proc/sys/net/ipv4';

/** Shapes the link of a machine to this rate, in either direction. */
export async function shapeLink(host: Host, mbit: number): Promise<void> {
  await host.limitUpload(mbit, QUEUE);
  await host.limitDownload(mbit, QUEUE);
}

/** Gives the TCP of a machine the usual congestion control, for connections from now on. */
export async function useUsualTcp(host: Host): Promise<void> {
  const file = `${SETTINGS}/tcp_congestion_control`;
  await host.execute(['sh', '-c', `echo ${CONGESTION_CONTROL} >${file}`]);
}

/**
 * Enlarges the kernel's neighbour table, and lets network namespaces have the usual congestion control, until this
 * process ends. Both are settings of the whole machine.
 */
export function prepareKernel(): void {
  for (const [name, least] of Object.entries(NEIGHBOURS)) {
    change(`${SETTINGS}/neigh/default/${name}`, (before) =>
      String(Math.max(Number(before), least)),
    );
  }
  change(`${SETTINGS}/tcp_allowed_congestion_control`, (before) =>
    before.split(/\s+/).includes(CONGESTION_CONTROL) ? before : `${before} ${CONGESTION_CONTROL}`,
  );
}

/** Changes a setting, and undoes that when this process ends. */
function change(file: string, to: (before: string) => string): void {
  const before = readFileSync(file, 'utf8').trim();
  const after = to(before);
  if (after === before) return;
  writeFileSync(file, after);
  process.once('exit', () => {
    writeFileSync(file, before);
  });
}
