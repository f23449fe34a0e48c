import type { BenchAgent } from './agent.ts';
import {
  count,
  difference,
  histogramQuantile,
  readHistogram,
  together,
  type Buckets,
} from './prometheus.ts';
import type { Report } from './report.ts';

type Result = 'hit' | 'miss';
const RESULTS: readonly Result[] = ['hit', 'miss'];

/** The time of look-ups between two moments, without HTTP, from the metrics of the agents. */
export class LookupMetric {
  readonly #agents: readonly BenchAgent[];
  readonly #before: readonly string[];

  private constructor(agents: readonly BenchAgent[], before: readonly string[]) {
    this.#agents = agents;
    this.#before = before;
  }

  static async begin(agents: readonly BenchAgent[]): Promise<LookupMetric> {
    return new LookupMetric(agents, await Promise.all(agents.map((agent) => agent.scrape())));
  }

  /** Adds the quantiles of what was looked up since the beginning. */
  async end(report: Report, figure: string): Promise<void> {
    const after = await Promise.all(this.#agents.map((agent) => agent.scrape()));
    for (const result of RESULTS) {
      const deltas = after
        .map((text, index) => delta(text, this.#before[index] ?? '', result))
        .filter((buckets) => buckets !== undefined);
      const all = together(deltas);
      if (count(all) === 0) continue;
      const note = `${count(all)} look-ups, interpolated in the metric's buckets`;
      const milliseconds = (q: number): number => histogramQuantile(all, q) * 1000;
      report.add(figure, `directory alone, ${result} p50`, milliseconds(0.5), 'ms', note);
      report.add(figure, `directory alone, ${result} p99`, milliseconds(0.99), 'ms');
    }
  }
}

/** Older agents have Spegel's metric only, which knows hits alone. */
function delta(after: string, before: string, result: Result): Buckets | undefined {
  const read = (text: string): Buckets | undefined =>
    readHistogram(text, 'peerglass_lookup_duration_seconds', { result }) ??
    (result === 'hit' ? readHistogram(text, 'spegel_resolve_duration_seconds') : undefined);
  const now = read(after);
  return now === undefined ? undefined : difference(now, read(before));
}
