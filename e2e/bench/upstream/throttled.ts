import type { Host } from '../../harness/namespaces.ts';
import { MemorySampler } from '../support/memory-sampler.ts';
import type { Report } from '../support/report.ts';
import { median } from '../support/samples.ts';
import { LINK_MBIT, type UpstreamStage } from './upstream-stage.ts';

const MIB = 1 << 20;
const BLOB_BYTES = 200_000_000;

/**
 * A layer of 200 MB from a registry that throttles each connection to a quarter of the node's link: through the agent, and
 * straight by one connection, in turn.
 */
export async function measureThrottled(
  stage: UpstreamStage,
  report: Report,
  { rounds }: { readonly rounds: number },
): Promise<void> {
  const times = { agent: [] as number[], straight: [] as number[] };
  await stage.node.limitDownload(LINK_MBIT, { burst: '256kb', latency: '100ms' });
  const sampler = new MemorySampler(stage.agent.pid);
  for (let count = 0; count < rounds; count++) {
    const digest = await stage.addBlob(BLOB_BYTES);
    const origin = stage.throttled;
    times.straight.push(await download(stage.node, stage.at(origin, digest)));
    times.agent.push(await download(stage.node, stage.atAgent({ origin }, digest)));
    const last = [times.straight, times.agent].map((all) => all.at(-1)?.toFixed(1));
    report.progress(`throttled: round ${count + 1}: straight and agent ${last.join(', ')} s`);
  }
  const { rss } = await sampler.stop();
  await stage.node.limitDownload(undefined);
  const [agent, straight] = [median(times.agent), median(times.straight)];
  report.add('throttled', 'straight', straight, 's');
  report.add('throttled', 'agent', agent, 's');
  report.add('throttled', 'agent to straight', agent / straight, 'x', 'goal: at most 0.5');
  report.add('throttled', 'memory of the agent, at most', Math.round(rss / MIB), 'MiB');
}

/** In seconds. */
async function download(host: Host, url: string): Promise<number> {
  const words = ['curl', '-sSf', '-o', '/dev/null', '-w', '%{time_total}', url] as const;
  return Number(await host.execute(words));
}
