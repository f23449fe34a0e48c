import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest, IngestProgress } from '../../store/ingests.ts';

/** An unfinished download of the store, and how far it is. */
export interface OpenDownload {
  readonly ingest: Ingest;
  readonly progress: IngestProgress;
}

/**
 * Opens what the store has received of the content, for the caller to dispose of; nothing when it receives none, or cannot be
 * asked. Never rejects.
 */
export async function openDownload(
  store: Pick<ContentStore, 'ingests'>,
  digest: Digest,
  logger: Logger,
): Promise<OpenDownload | undefined> {
  try {
    await using opened = new AsyncDisposableStack();
    const ingest = opened.use(await store.ingests?.open(digest));
    const progress = await ingest?.progress();
    if (ingest === undefined || progress === undefined || progress.state === 'removed')
      return undefined;
    opened.move();
    return { ingest, progress };
  } catch (err) {
    logger.debug({ digest, err }, 'cannot look at an unfinished download');
    return undefined;
  }
}
