import pLimit from 'p-limit';

import type { Descriptor } from '../../oci/descriptor.ts';
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { MemoryBudget } from './memory-budget.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { MemoryReservation } from './memory-reservation.ts';
import { readVerified } from './verified-body.ts';

/** Manifests and configs are smaller than this, in bytes, and do not queue behind layers. */
const SMALL_BYTES = 64 * 1024;

/** Small bodies held back at once: 16 MiB. */
const SMALL_AT_ONCE = 256;

/** Bounds of a {@link VerifiedBuffer}. */
export interface VerifiedBufferInit {
  /** Content up to this many bytes is held back until it is verified. Default 4 MiB. */
  readonly size?: number;
  /** Bytes held back at once until clients have taken them, small bodies apart. Default 64 MiB, and no less than one body. */
  readonly memory?: number;
}

/** Content that was held back and is right. */
export interface VerifiedContent {
  readonly bytes: Buffer;
  /** To be disposed of when the bytes are sent; small ones have none. */
  readonly room?: MemoryReservation;
}

/**
 * Keeps small content until it is verified, so that manifests, configs and small layers are right the first time,
 * whoever sends them.
 */
export class VerifiedBuffer {
  readonly #size: number;
  readonly #memory: MemoryBudget;
  readonly #small = pLimit(SMALL_AT_ONCE);

  constructor({ size = MAX_MANIFEST_BYTES, memory = 64 * 1024 * 1024 }: VerifiedBufferInit = {}) {
    this.#size = size;
    this.#memory = new MemoryBudget(Math.max(memory, size, MAX_MANIFEST_BYTES));
  }

  /** Whether content is held back: a manifest always is. */
  takes(kind: ContentRequest['kind'], { size }: Descriptor): boolean {
    return size <= this.#size || (kind === 'manifest' && size <= MAX_MANIFEST_BYTES);
  }

  /**
   * Reads the answer, whose body is all of the content, when there is room for it.
   *
   * @throws as {@link readVerified}
   */
  async read(response: PeerResponse): Promise<VerifiedContent> {
    const { size } = response.descriptor;
    if (size <= SMALL_BYTES) return { bytes: await this.#small(() => readVerified(response)) };
    const held = Promise.withResolvers<VerifiedContent>();
    const isWanted = (): boolean => this.#memory.isWanted;
    this.#memory
      .with(size, async () => {
        const bytes = await readVerified(response);
        await new Promise<void>((onFree) => {
          held.resolve({ bytes, room: new MemoryReservation({ size, isWanted, onFree }) });
        });
      })
      .catch(held.reject);
    return await held.promise;
  }
}
