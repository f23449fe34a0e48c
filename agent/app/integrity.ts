import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import { GuardedStore } from '../integrity/guarded-store.ts';
import { HashThread } from '../integrity/hash-thread.ts';
import { IntegrityChecker } from '../integrity/integrity-checker.ts';
import { Scrubber } from '../integrity/scrubber.ts';
import { ResultsFile } from '../integrity/results-file.ts';
import { VerificationResults } from '../integrity/verification-results.ts';
import { Verifier } from '../integrity/verifier.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import type { ContentStore } from '../store/content-store.ts';

/** Bad blobs that `/debug/status` names. */
const MAX_NAMED = 100;

/** What {@link guardStore} works with. */
interface GuardComponents {
  readonly store: ContentStore;
  readonly metrics: Metrics;
  /** Names of the images that a blob belongs to. */
  readonly imagesOf: (digest: Digest) => readonly string[];
  readonly logger: Logger;
}

/** A store that gives out only what is right, and what keeps it so. */
export interface Guard {
  readonly store: ContentStore;
  /** Verifies in the background and keeps the results, until `signal` is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** For `/debug/status`. */
  status(): Record<string, unknown>;
}

/**
 * Puts the guard in front of the store. What was found out before is read from `--data-dir`; without one,
 * only the blobs that containerd verified at their commit are known at the start.
 *
 * @param parts takes what is to be ended with the agent
 */
export async function guardStore(
  { store, metrics, imagesOf, logger }: GuardComponents,
  config: RegistryConfig,
  parts: AsyncDisposableStack,
): Promise<Guard> {
  const results = new VerificationResults();
  const folder = config['data-dir'];
  const file = folder === '' ? undefined : new ResultsFile({ results, logger }, folder);
  await file?.load();
  const thread = new HashThread();
  const verifier = parts.use(new Verifier({ store, results, thread, metrics }));
  const checker = new IntegrityChecker({ store, results, verifier, metrics, imagesOf, logger });
  const scrubber = new Scrubber(
    { store, checker, results, logger },
    { rate: config['scrub-rate'], interval: config['scrub-interval'] },
  );
  return {
    store: new GuardedStore({ store, checker, scrubber }),
    run: async (signal) => {
      await Promise.all([scrubber.run(signal), file?.run(signal)]);
    },
    status: () => ({
      bad: Object.fromEntries([...checker.bad].slice(0, MAX_NAMED)),
      verdicts: results.size,
      beingVerified: verifier.pending,
      rounds: scrubber.rounds,
    }),
  };
}
