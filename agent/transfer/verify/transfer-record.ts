import type { ByteRange } from '../../oci/byte-range.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Provider } from '../../routing/router.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { Coverage } from './coverage.ts';
import { Shares, type DeliveredShares, type Share } from './shares.ts';

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
  readonly #shares = new Shares();
  /** What was hashed in passing of single peers, if anything. */
  hashed: DeliveredShares | undefined;
  #deliverer: string | undefined;
  #isFollowed = false;
  #isWrong = false;

  constructor(request: ContentRequest, descriptor: Descriptor) {
    this.request = request;
    this.descriptor = descriptor;
  }

  /** Records that the peer begins to deliver bytes. Peers beyond the bound are not recorded. */
  deliveredBy(provider: Provider): void {
    this.#deliverer = provider.peerId;
    if (this.#peers.size < MAX_PEERS) this.#peers.set(provider.peerId, provider);
  }

  /** Records that its peers were still receiving the content themselves: they may have got it wrong. */
  follows(): void {
    this.#isFollowed = true;
  }

  /** Records that a peer has said that its bytes are wrong. */
  sentWrong(): void {
    this.#isWrong = true;
  }

  /** Whether a peer has said that its bytes are wrong. */
  get isWrong(): boolean {
    return this.#isWrong;
  }

  /** Whether any peer was still receiving the content itself. */
  get isFollowed(): boolean {
    return this.#isFollowed;
  }

  /** The peer ID of the last one that began to deliver. */
  get deliverer(): string | undefined {
    return this.#deliverer;
  }

  /** Records that these bytes of the peer were forwarded to the client. */
  forwarded(range: ByteRange, { peerId }: Provider): void {
    this.#coverage.add(range);
    this.#shares.add(peerId, range);
  }

  /** The bytes that exactly one peer delivered, in order; see {@link Shares.sole}. */
  get shares(): readonly Share[] {
    return this.#shares.sole();
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
