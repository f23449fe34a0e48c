import type { Digest } from '../oci/digest.ts';
import type { ContentStore } from '../store/content-store.ts';
import { SingleFlight } from '../timing/single-flight.ts';
import { raceSignal } from '../timing/race-signal.ts';

/**
 * How old an answer may be, in milliseconds: a cluster that asks for one image at once is answered by a few calls to
 * containerd, and a tag that has moved, or a manifest that is gone, is seen no later than that.
 */
const MAX_AGE_MS = 10;

/**
 * What requests for manifests ask the store, once for all who ask the same within {@link MAX_AGE_MS}. Each rejects
 * with `StoreUnavailableError` when the store cannot be asked, and with the signal's reason.
 */
export class SingleFlightReads {
  readonly #store: Pick<ContentStore, 'image' | 'stat'>;
  readonly #targets = new SingleFlight<Digest | undefined>(MAX_AGE_MS);
  readonly #held = new SingleFlight<boolean>(MAX_AGE_MS);

  constructor(store: Pick<ContentStore, 'image' | 'stat'>) {
    this.#store = store;
  }

  /** The digest of the image with this name; `undefined` when there is none. */
  target(name: string, signal: AbortSignal): Promise<Digest | undefined> {
    const ask = async (): Promise<Digest | undefined> =>
      (await this.#store.image(name))?.target.digest;
    return raceSignal(this.#targets.ask(name, ask), signal);
  }

  /** Whether the store has the blob. */
  isHeld(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const ask = async (): Promise<boolean> => (await this.#store.stat(digest)) !== undefined;
    return raceSignal(this.#held.ask(digest, ask), signal);
  }
}
