import type { Facts } from '../facts.ts';
import { at, isRecord, textAt } from '../json.ts';
import { ok, skipped, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

/** Whether nodes can share one download of a fresh image, as far as this node knows. */
export const FAN_OUT_CHECKS: readonly Check<Facts>[] = [
  { id: 'fan-out', group: 'peers', run: fanOut },
];

/** What it costs when nodes do not. */
const COST = 'downloads a fresh image for itself';

async function fanOut(facts: Facts): Promise<CheckResult> {
  const status = await facts.status();
  const state = at(status, 'fanOut');
  if (!isRecord(state)) return skipped(`the agent is older: each node ${COST}`);
  const reason = textAt(state, 'reason') ?? 'the agent does not say why';
  if (at(state, 'enabled') !== true) {
    if (textAt(status, 'settings', 'ociLayout') !== undefined) {
      return skipped('the agent serves an OCI image layout: there are no downloads to share');
    }
    return warning(
      `this node ${COST} (${reason}), and no other node can follow it`,
      'start the agent without --fan-out=false (FAN_OUT, in the chart peerglass.fanOut)',
    );
  }
  if (at(state, 'seesDownloads') !== true) {
    return warning(
      `the agent does not see what containerd receives (${reason}): no other node can follow this one, and it never downloads for others`,
      "let the agent read containerd's content folder: mount it into the container, and name it by --containerd-content-path; see content-path",
    );
  }
  const [peers, speakers] = [at(state, 'peers'), at(state, 'speakers')];
  if (typeof peers !== 'number' || typeof speakers !== 'number' || peers === 0) {
    return skipped('no peers to share a download with: see peers');
  }
  if (speakers === peers) return ok(`all ${peers} peers take part: one of them downloads for all`);
  const remedy =
    'give all nodes this version, and none --fan-out=false: nodes of Spegel and of older versions take no part';
  return speakers === 0
    ? warning(`none of ${peers} peers takes part: each node ${COST}`, remedy)
    : warning(
        `${peers - speakers} of ${peers} peers take no part, and each of these ${COST}`,
        remedy,
      );
}
