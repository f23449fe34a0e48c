import type { Facts } from '../facts.ts';
import { at, isRecord, textAt } from '../json.ts';
import { failure, ok, skipped, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

const GROUP = 'the agent';

/** Checks of the agent, by its own endpoints. */
export const AGENT_CHECKS: readonly Check<Facts>[] = [
  { id: 'agent', group: GROUP, run: agent },
  { id: 'corrupt-blobs', group: GROUP, run: corruptBlobs },
];

async function agent(facts: Facts): Promise<CheckResult> {
  const { origin } = facts.agent;
  let readiness;
  try {
    readiness = await facts.readiness();
  } catch (error) {
    return failure(
      error instanceof Error ? error.message : String(error),
      `is it running? kubectl -n NAMESPACE get pods -o wide, or systemctl status peerglass\nor it listens elsewhere: --metrics-addr HOST:PORT`,
    );
  }
  if (readiness.ready) {
    return ok(`ready at ${origin}`, readiness.reasons.length > 0 ? readiness.reasons : undefined);
  }
  return failure(
    'the agent is not ready',
    `docs/TROUBLESHOOTING.md, "/readyz is 503"; curl -s ${origin}/readyz`,
    readiness.reasons,
  );
}

async function corruptBlobs(facts: Facts): Promise<CheckResult> {
  const bad = at(await facts.status(), 'integrity', 'bad');
  if (!isRecord(bad)) return skipped('the agent does not report its corrupt blobs');
  const digests = Object.keys(bad);
  if (digests.length === 0) return ok('no blob is known to have wrong bytes on disk');
  return failure(
    `${digests.length} blobs of this node have wrong bytes on disk, or their file is gone; they are not shared, but containerd uses them without noticing`,
    'remove every image that uses them, then pull again: crictl rmi IMAGE && crictl pull IMAGE',
    digests.map((digest) => {
      const path = textAt(bad, digest, 'path');
      const gone = textAt(bad, digest, 'finding') === 'missing' ? ' (the file is gone)' : '';
      return path === undefined ? digest : `${digest}: ${path}${gone}`;
    }),
  );
}
