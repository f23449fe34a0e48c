import type { Measured } from '../support/rounds.ts';
import { median, quantile, sum } from '../support/samples.ts';
import type { CaseRun } from './cases.ts';
import type { NodeOutcome } from './roll-out.ts';

/** The figures of a run, by name. Times are in seconds. */
export function figuresOf(run: CaseRun): Measured {
  const seconds = durations(run.outcomes);
  const waited = run.outcomes.filter(({ node }) => node !== run.victim);
  const p50 = median(seconds);
  return {
    last: largest(seconds),
    p50,
    'p99 to p50': quantile(seconds, 0.99) / p50,
    whole: largest(waited.map(({ held = NaN }) => held)) / 1000,
    'images sent': run.registry.bytesSent / run.imageBytes,
    'manifest GETs': run.registry.manifestGets,
    'manifest HEADs': run.registry.manifestHeads,
    'blob GETs': run.registry.blobGets,
    'failed pulls': sum(waited.map(({ failedPulls }) => failedPulls)),
    'without image': waited.filter(({ held }) => held === undefined).length,
    'memory MB': largest(run.agentsMemory) / 1e6,
    'agents CPU': run.agentsCpuMs / 1000,
    'busy %': run.busy * 100,
  };
}

/** How long each node that has the image took from its own begin, in seconds. */
function durations(outcomes: readonly NodeOutcome[]): number[] {
  return outcomes.flatMap(({ begun, held }) => (held === undefined ? [] : [(held - begun) / 1000]));
}

function largest(values: readonly number[]): number {
  return values.length === 0 ? NaN : Math.max(...values);
}
