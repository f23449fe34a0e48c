import type { Logger } from 'pino';

import { GuardedStore } from '../integrity/guarded-store.ts';
import { HashThread } from '../integrity/hash-thread.ts';
import { IntegrityChecker } from '../integrity/integrity-checker.ts';
import { Scrubber, type ScrubberInit } from '../integrity/scrubber.ts';
import { ResultsFile } from '../integrity/results-file.ts';
import { VerificationResults } from '../integrity/verification-results.ts';
import { Verifier } from '../integrity/verifier.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { Loop } from './loops.ts';

/** Maximum number of bad blobs that `/debug/status` names. */
const MAX_NAMED = 100;

/** What {@link guardStore} needs. */
interface GuardComponents {
  /** The store that is guarded. */
  readonly store: ContentStore;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Options of {@link guardStore}. */
interface GuardInit extends ScrubberInit {
  /** Keeps the verification results over a restart; empty to keep none. */
  readonly folder: string;
}

/** A store that serves only content that matches its digest. */
export interface Guard extends Loop {
  readonly store: ContentStore;
  /**
   * Names the images of a bad blob in the log from now on. The inventory comes later than the guard, since it reads
   * the guarded store.
   */
  nameImages(names: { imagesOf(digest: Digest): readonly string[] }): void;
  /** Verifies in the background and keeps the results, until `signal` is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** For `/debug/status`. */
  status(): Record<string, unknown>;
}

/**
 * Puts the guard in front of the store. Results of earlier verifications are read from the folder. Without one, only
 * blobs that containerd verified at commit are known to be right at the start.
 *
 * @param resources takes what has to be ended
 */
export async function guardStore(
  { store, metrics, logger }: GuardComponents,
  { folder, ...scrubbing }: GuardInit,
  resources: AsyncDisposableStack,
): Promise<Guard> {
  const results = new VerificationResults();
  const file = folder === '' ? undefined : new ResultsFile({ results, logger }, folder);
  await file?.load();
  const thread = new HashThread();
  const verifier = resources.use(new Verifier({ store, results, thread, metrics }));
  let imagesOf = (_digest: Digest): readonly string[] => [];
  const checker = new IntegrityChecker({
    store,
    results,
    verifier,
    metrics,
    imagesOf: (digest) => imagesOf(digest),
    logger,
  });
  const scrubber = new Scrubber({ store, checker, results, logger }, scrubbing);
  return {
    store: new GuardedStore({ store, checker, scrubber }),
    nameImages: (names) => {
      imagesOf = names.imagesOf.bind(names);
    },
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
