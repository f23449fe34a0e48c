import type { Host } from '../../harness/namespaces.ts';
import type { Report } from '../support/report.ts';
import { quantile } from '../support/samples.ts';
import type { UpstreamStage } from './upstream-stage.ts';

const BLOB_BYTES = 1 << 20;
/** Requests of each round. */
const BLOBS = 40;

/** The time to the first byte of blobs that no node has seen, through the agent and straight from the registry, in turn. */
export async function measureFirstByte(
  stage: UpstreamStage,
  report: Report,
  { rounds, schemes }: { readonly rounds: number; readonly schemes: readonly string[] },
): Promise<void> {
  for (const way of stage.ways.filter(({ scheme }) => schemes.includes(scheme))) {
    const figure = `first byte, ${way.scheme}`;
    const times = { agent: [] as number[], straight: [] as number[] };
    for (let count = 0; count < rounds * BLOBS; count++) {
      const digest = await stage.addBlob(BLOB_BYTES);
      times.straight.push(await firstByte(stage.node, stage.at(way.origin, digest)));
      times.agent.push(await firstByte(stage.node, stage.atAgent(way, digest)));
    }
    for (const share of [0.5, 0.9]) {
      const [agent, straight] = [quantile(times.agent, share), quantile(times.straight, share)];
      const note = `straight: ${straight.toFixed(1)}; goal: at most ${(1.1 * straight + 5).toFixed(1)}`;
      report.add(figure, `agent, p${share * 100}`, agent, 'ms', note);
    }
  }
}

/** In milliseconds. */
async function firstByte(host: Host, url: string): Promise<number> {
  const seconds = await host.execute([
    ...(['curl', '-sSfk', '-o', '/dev/null', '-w', '%{time_starttransfer}', url] as const),
  ]);
  return Number(seconds) * 1000;
}
