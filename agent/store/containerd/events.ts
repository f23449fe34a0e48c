import {
  ContentCreate,
  ContentDelete,
} from '../../../proto/generated/containerd/events/content.ts';
import {
  ImageCreate,
  ImageDelete,
  ImageUpdate,
} from '../../../proto/generated/containerd/events/image.ts';
import type { Envelope } from '../../../proto/generated/containerd/types/event.ts';
import { parseDigest, type Digest } from '../../oci/digest.ts';

/** An event of containerd that concerns the store. */
export type ContainerdEvent =
  | { readonly kind: 'image-set' | 'image-deleted'; readonly name: string }
  | { readonly kind: 'blob-added'; readonly digest: Digest; readonly size: number }
  | { readonly kind: 'blob-deleted'; readonly digest: Digest };

const READERS: Readonly<Record<string, (value: Uint8Array) => ContainerdEvent | undefined>> = {
  '/images/create': (value) => ({ kind: 'image-set', name: ImageCreate.decode(value).name }),
  '/images/update': (value) => ({ kind: 'image-set', name: ImageUpdate.decode(value).name }),
  '/images/delete': (value) => ({ kind: 'image-deleted', name: ImageDelete.decode(value).name }),
  '/content/create': (value) => {
    const { digest: text, size } = ContentCreate.decode(value);
    const digest = parseDigest(text);
    return digest && { kind: 'blob-added', digest, size };
  },
  '/content/delete': (value) => {
    const digest = parseDigest(ContentDelete.decode(value).digest);
    return digest && { kind: 'blob-deleted', digest };
  },
};

/** Filters for the events that {@link readEvent} understands, in one namespace. */
export function eventFilters(namespace: string): string[] {
  return Object.keys(READERS).map(
    (topic) => `namespace==${JSON.stringify(namespace)},topic==${JSON.stringify(topic)}`,
  );
}

/**
 * Decodes an event by its topic; `undefined` for other topics, and for digests that are not well-formed.
 *
 * @throws when the payload is malformed
 */
export function readEvent({ topic, event }: Envelope): ContainerdEvent | undefined {
  return READERS[topic]?.(event?.value ?? new Uint8Array());
}
