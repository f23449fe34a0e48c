import type { ByteRange } from '../../oci/byte-range.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Provider } from '../../routing/router.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { Coverage } from './coverage.ts';

/** Most peers that are remembered for one blob; in large clusters a blob of many chunks may come from more. */
const MAX_DELIVERERS = 64;

/**
 * A large blob that is passed on to a client before it is verified, in one body or in many: who delivered it, and
 * how much of it has been passed on.
 */
export class TransferRecord {
  readonly request: ContentRequest;
  readonly descriptor: Descriptor;
  readonly #coverage = new Coverage();
  readonly #deliverers = new Map<string, Provider>();

  constructor(request: ContentRequest, descriptor: Descriptor) {
    this.request = request;
    this.descriptor = descriptor;
  }

  /** The peer begins to deliver bytes of it. */
  from(provider: Provider): void {
    if (this.#deliverers.size < MAX_DELIVERERS) this.#deliverers.set(provider.peerId, provider);
  }

  /** These bytes have been passed on. */
  passed(range: ByteRange): void {
    this.#coverage.add(range);
  }

  /** Whether it has been delivered to its end, from where the client had begun to ask for it. */
  get isComplete(): boolean {
    return this.#coverage.reachesEnd(this.descriptor.size);
  }

  get deliverers(): readonly Provider[] {
    return [...this.#deliverers.values()];
  }

  /** The one peer that all of it came from, if it was one. */
  get soleDeliverer(): Provider | undefined {
    const [first, ...others] = this.#deliverers.values();
    return others.length === 0 && this.#coverage.isWhole(this.descriptor.size) ? first : undefined;
  }
}
