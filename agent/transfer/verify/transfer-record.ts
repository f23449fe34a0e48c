import type { ByteRange } from '../../oci/byte-range.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Provider } from '../../routing/router.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { Coverage } from './coverage.ts';

/** Peers that are remembered for one blob. In a large cluster a blob of many chunks may come from more. */
const MAX_PEERS = 64;

/**
 * Which peers delivered a large blob, and which of its bytes were forwarded to the client before it was verified, in
 * one body or in many.
 */
export class TransferRecord {
  readonly request: ContentRequest;
  readonly descriptor: Descriptor;
  readonly #coverage = new Coverage();
  readonly #peers = new Map<string, Provider>();

  constructor(request: ContentRequest, descriptor: Descriptor) {
    this.request = request;
    this.descriptor = descriptor;
  }

  /** Records that the peer begins to deliver bytes. Peers beyond the bound are not recorded. */
  deliveredBy(provider: Provider): void {
    if (this.#peers.size < MAX_PEERS) this.#peers.set(provider.peerId, provider);
  }

  /** Records that these bytes were forwarded to the client. */
  forwarded(range: ByteRange): void {
    this.#coverage.add(range);
  }

  /** Whether the blob was forwarded to its end, from the first byte that the client requested. */
  get isComplete(): boolean {
    return this.#coverage.reachesEnd(this.descriptor.size);
  }

  get peers(): readonly Provider[] {
    return [...this.#peers.values()];
  }

  /** The peer that delivered the whole blob, if it was one peer. */
  get solePeer(): Provider | undefined {
    const [first, ...others] = this.#peers.values();
    return others.length === 0 && this.#coverage.isWhole(this.descriptor.size) ? first : undefined;
  }
}
