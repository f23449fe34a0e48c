import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { ContentStore } from '../store/content-store.ts';
import { SingleFlight } from '../timing/single-flight.ts';
import { raceSignal } from '../timing/race-signal.ts';

/**
 * Age up to which a result answers later requests, in milliseconds. When a cluster asks for one image at once, a few
 * calls of containerd answer all requests. A tag that has moved, or a manifest that was deleted, is noticed after this
 * time at the latest.
 */
const MAX_AGE_MS = 10;

/**
 * Single-flight store reads for manifests: requests that come within {@link MAX_AGE_MS} share one call of the store. All
 * methods reject with `StoreUnavailableError` when the store cannot be reached, and with the signal's reason when that
 * is aborted.
 */
export class SingleFlightReads {
  readonly #store: Pick<ContentStore, 'image' | 'stat'>;
  readonly #targets = new SingleFlight<Descriptor | undefined>(MAX_AGE_MS);
  readonly #held = new SingleFlight<boolean>(MAX_AGE_MS);

  constructor(store: Pick<ContentStore, 'image' | 'stat'>) {
    this.#store = store;
  }

  /** What the image with this name points to; `undefined` when there is no such image. */
  target(name: string, signal: AbortSignal): Promise<Descriptor | undefined> {
    const read = async (): Promise<Descriptor | undefined> =>
      (await this.#store.image(name))?.target;
    return raceSignal(this.#targets.run(name, read), signal);
  }

  /** Whether the store has the blob. */
  isHeld(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const read = async (): Promise<boolean> => (await this.#store.stat(digest)) !== undefined;
    return raceSignal(this.#held.run(digest, read), signal);
  }
}
