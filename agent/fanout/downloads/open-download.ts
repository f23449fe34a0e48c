import type { Logger } from 'pino';

import type { Digest } from '../../oci/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest, IngestProgress } from '../../store/ingests.ts';

/** An unfinished download of the store, and how far it is. */
export interface OpenDownload {
  readonly ingest: Ingest;
  readonly progress: IngestProgress;
}

/** Disposes of a download, unless it is released. */
class Opened implements AsyncDisposable {
  readonly current: OpenDownload | undefined;
  #isReleased = false;

  constructor(current: OpenDownload | undefined) {
    this.current = current;
  }

  release(): void {
    this.#isReleased = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isReleased) await this.current?.ingest[Symbol.asyncDispose]();
  }
}

/** Opens what the store has received of the content; nothing when it receives none, or cannot be asked. Never rejects. */
export async function openDownload(
  store: Pick<ContentStore, 'ingests'>,
  digest: Digest,
  logger: Logger,
): Promise<Opened> {
  try {
    const ingest = await store.ingests?.open(digest);
    if (ingest === undefined) return new Opened(undefined);
    const opened = new Opened({ ingest, progress: await progressOf(ingest) });
    if (opened.current?.progress.state !== 'removed') return opened;
    await opened[Symbol.asyncDispose]();
  } catch (err) {
    logger.debug({ digest, err }, 'cannot look at an unfinished download');
  }
  return new Opened(undefined);
}

async function progressOf(ingest: Ingest): Promise<IngestProgress> {
  try {
    return await ingest.progress();
  } catch (error) {
    await ingest[Symbol.asyncDispose]();
    throw error;
  }
}
