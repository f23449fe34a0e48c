import type { Descriptor } from '../../oci/descriptor.ts';
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';
import { MemoryBudget } from './memory-budget.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { MemoryReservation } from './memory-reservation.ts';
import { readVerified } from './verify-body.ts';

/** Content up to this size, in bytes, does not queue behind layers. Manifests and configs are smaller. */
export const SMALL_BYTES = 64 * 1024;

/** Small bodies in memory at once: 16 MiB. */
const MAX_SMALL_BODIES = 256;

/** Bounds of a {@link VerifiedBuffer}. */
export interface VerifiedBufferInit {
  /** Content up to this size, in bytes, is buffered until it is verified. Default 4 MiB. */
  readonly size?: number;
  /**
   * Memory in bytes for content that is being verified or has not been taken by its client yet. Small bodies are not
   * counted. Default 64 MiB, and at least the size of one body.
   */
  readonly memory?: number;
}

/** The groups that a read is charged to, and its callbacks. */
export interface VerifiedReadInit {
  /** What the request belongs to: each group has its share of the memory, see {@link MemoryBudget}. Default: none. */
  readonly groups?: readonly string[];
  /** Called when there is memory, and the body begins to be read. */
  readonly onBegin?: () => void;
  /** Called with the bytes that have come, and after how many milliseconds, however the reading ends. */
  readonly onEnd?: (bytes: number, milliseconds: number) => void;
}

/** Content whose digest matches. */
export interface VerifiedContent {
  readonly bytes: Buffer;
  /** To be disposed of when the bytes are sent. Small content has none. */
  readonly reservation?: MemoryReservation;
}

/**
 * Store-and-forward for small content. It is buffered until it is verified, so manifests, configs and small layers
 * reach the client right the first time, whichever peer sends them.
 */
export class VerifiedBuffer {
  readonly #size: number;
  readonly #memory: MemoryBudget;
  readonly #small = new MemoryBudget(MAX_SMALL_BODIES * SMALL_BYTES);

  constructor({ size = MAX_MANIFEST_BYTES, memory = 64 * 1024 * 1024 }: VerifiedBufferInit = {}) {
    this.#size = size;
    this.#memory = new MemoryBudget(Math.max(memory, size, MAX_MANIFEST_BYTES));
  }

  /** Whether content of this kind and size is buffered. Manifests always are. */
  accepts(kind: ContentRequest['kind'], { size }: Descriptor): boolean {
    return size <= this.#size || (kind === 'manifest' && size <= MAX_MANIFEST_BYTES);
  }

  /**
   * Waits for memory, then reads the answer, whose body must be all of the content.
   *
   * @param signal ends it
   * @throws as {@link readVerified}; MemoryBusyError when there is no memory before the signal is aborted
   */
  async read(
    response: PeerResponse,
    { groups = [], onBegin, onEnd }: VerifiedReadInit,
    signal: AbortSignal,
  ): Promise<VerifiedContent> {
    const { size } = response.descriptor;
    using ends = new DisposableStack();
    ends.defer(() => {
      destroyQuietly(response.body);
    });
    const isSmall = size <= SMALL_BYTES;
    const memory = isSmall
      ? await this.#small.acquire(SMALL_BYTES, groups, signal)
      : await this.#memory.acquire(size, groups, signal);
    ends.use(memory);
    onBegin?.();
    const bytes = await readVerified(response, signal, onEnd);
    if (isSmall) return { bytes };
    ends.move();
    return { bytes, reservation: this.#reserve(size, memory) };
  }

  #reserve(size: number, memory: Disposable): MemoryReservation {
    return new MemoryReservation({
      size,
      isWanted: () => this.#memory.hasWaiters,
      onFree: () => {
        memory[Symbol.dispose]();
      },
    });
  }
}
