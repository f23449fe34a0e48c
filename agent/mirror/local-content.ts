import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from '../oci/manifest.ts';
import { MEDIA_TYPE, isManifestType } from '../oci/media-type.ts';
import { tagName } from '../oci/reference.ts';
import type { ContentStore, OpenBlob } from '../store/content-store.ts';
import { BlobTooLargeError, readBlob } from '../store/read-blob.ts';
import type { ContentRequest } from '../transfer/content-request.ts';

/** Content of this node, held open until it is disposed of. */
export interface LocalContent extends AsyncDisposable {
  readonly descriptor: Descriptor;
  /** The content, when it had to be read anyway; a manifest is, to find its type. */
  readonly bytes?: Buffer;
  readonly blob: OpenBlob;
}

/**
 * Finds content in the store of this node.
 *
 * @returns `undefined` when it is not here, or is asked for as a manifest and is none
 * @throws StoreUnavailableError when the store cannot be asked
 */
export async function findLocal(
  store: ContentStore,
  request: ContentRequest,
  signal: AbortSignal,
): Promise<LocalContent | undefined> {
  const digest = request.digest ?? (await resolveTag(store, request, signal));
  if (digest === undefined) return undefined;
  const blob = await store.open(digest, signal);
  if (blob === undefined) return undefined;
  try {
    const content =
      request.kind === 'blob'
        ? { descriptor: { mediaType: MEDIA_TYPE.binary, digest, size: blob.size } }
        : await describeManifest(blob, signal);
    if (content !== undefined) {
      return { ...content, blob, [Symbol.asyncDispose]: () => blob[Symbol.asyncDispose]() };
    }
  } catch (error) {
    await blob[Symbol.asyncDispose]();
    throw error;
  }
  await blob[Symbol.asyncDispose]();
  return undefined;
}

async function resolveTag(
  store: ContentStore,
  { registry, repository, tag }: ContentRequest,
  signal: AbortSignal,
): Promise<Digest | undefined> {
  if (tag === undefined) return undefined;
  const image = await store.image(tagName(registry, repository, tag), signal);
  return image?.target.digest;
}

async function describeManifest(
  blob: OpenBlob,
  signal: AbortSignal,
): Promise<{ descriptor: Descriptor; bytes: Buffer } | undefined> {
  try {
    const bytes = await readBlob(blob, MAX_MANIFEST_BYTES, signal);
    const { mediaType } = parseManifest(bytes);
    if (!isManifestType(mediaType)) return undefined;
    return { descriptor: { mediaType, digest: blob.digest, size: blob.size }, bytes };
  } catch (error) {
    if (error instanceof ManifestError || error instanceof BlobTooLargeError) return undefined;
    throw error;
  }
}
