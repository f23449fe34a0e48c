import { byCurl, compare, take, verify, type Server } from '../support/byte-rate.ts';
import { MemorySampler } from '../support/memory-sampler.ts';
import type { Report } from '../support/report.ts';
import type { UpstreamStage, Way } from './upstream-stage.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;

/**
 * A blob of 1 GiB from a registry through the agent and through nginx to a client on the node: all but its first byte, which
 * is not hashed, as for containerd, and whole, which is.
 */
export async function measureBodies(
  stage: UpstreamStage,
  report: Report,
  { rounds, schemes }: { readonly rounds: number; readonly schemes: readonly string[] },
): Promise<void> {
  const digest = await stage.addBlob(GIB);
  for (const way of stage.ways.filter(({ scheme }) => schemes.includes(scheme))) {
    const servers = serversOf(stage, way, digest);
    await verify(servers, stage.node, digest);
    for (const [what, words] of [
      ['part', undefined],
      ['whole', []],
    ] as const) {
      const figure = `${way.scheme}, ${what}`;
      const sampler = new MemorySampler(stage.agent.pid);
      const subjects = servers.map((server) => byCurl(server, stage.node, words));
      const taken = await take(report, figure, subjects, rounds);
      const { rss, anonymous } = await sampler.stop();
      compare(report, figure, taken, 'agent', 'nginx', { rate: '0.9' });
      const note = `${Math.round(anonymous / MIB)} of it anonymous; goal: at most 128`;
      report.add(figure, 'memory of the agent, at most', Math.round(rss / MIB), 'MiB', note);
    }
  }
}

function serversOf(stage: UpstreamStage, way: Way, digest: string): readonly Server[] {
  const { origin, proxy } = way;
  return [
    { name: 'agent', url: stage.atAgent(way, digest), pids: [origin.pid, stage.agent.pid] },
    { name: 'nginx', url: stage.at(proxy, digest), pids: [origin.pid, proxy.pid] },
  ];
}
