import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from '../oci/manifest.ts';
import { MEDIA_TYPE, isManifestType } from '../oci/media-type.ts';
import { tagName } from '../oci/reference.ts';
import type { ContentStore, OpenBlob } from '../store/content-store.ts';
import { BlobTooLargeError, readBlob } from '../store/read-blob.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { CachedManifest, ManifestCache } from './manifest-cache.ts';
import type { SingleFlightReads } from './single-flight-reads.ts';

/** Content of this node, held open until it is disposed of. */
export type LocalContent = AsyncDisposable & { readonly descriptor: Descriptor } & (
    | {
        /** A manifest is read anyway, to find its type. */
        readonly bytes: Buffer;
      }
    | { readonly bytes?: never; readonly blob: OpenBlob }
  );

/** Where content of this node is looked for. */
export interface LocalSources {
  readonly store: ContentStore;
  /** The same store, for what many ask at once. */
  readonly questions: SingleFlightReads;
  /** Manifests that were found before. */
  readonly manifests: ManifestCache;
}

/**
 * Finds content in the store of this node.
 *
 * @returns `undefined` when it is not here, or is asked for as a manifest and is none
 * @throws StoreUnavailableError when the store cannot be asked
 */
export async function findLocal(
  sources: LocalSources,
  request: ContentRequest,
  signal: AbortSignal,
): Promise<LocalContent | undefined> {
  const digest = request.digest ?? (await resolveTag(sources.questions, request, signal));
  if (digest === undefined) return undefined;
  if (request.kind === 'manifest') return await findManifest(sources, digest, signal);
  const blob = await sources.store.open(digest, signal);
  if (blob === undefined) return undefined;
  const descriptor = { mediaType: MEDIA_TYPE.binary, digest, size: blob.size };
  return { descriptor, blob, [Symbol.asyncDispose]: () => blob[Symbol.asyncDispose]() };
}

async function findManifest(
  { store, questions, manifests }: LocalSources,
  digest: Digest,
  signal: AbortSignal,
): Promise<LocalContent | undefined> {
  let manifest = manifests.get(digest);
  if (manifest === undefined) {
    await using blob = await store.open(digest, signal);
    manifest = blob && (await readManifest(blob, signal));
    if (manifest !== undefined) manifests.add(digest, manifest);
  } else if (!(await questions.isHeld(digest, signal))) {
    return undefined;
  }
  if (manifest === undefined) return undefined;
  const { mediaType, bytes } = manifest;
  const descriptor = { mediaType, digest, size: bytes.length };
  return { descriptor, bytes, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function resolveTag(
  questions: SingleFlightReads,
  { registry, repository, tag }: ContentRequest,
  signal: AbortSignal,
): Promise<Digest | undefined> {
  if (tag === undefined) return undefined;
  return await questions.target(tagName(registry, repository, tag), signal);
}

async function readManifest(
  blob: OpenBlob,
  signal: AbortSignal,
): Promise<CachedManifest | undefined> {
  try {
    const bytes = await readBlob(blob, MAX_MANIFEST_BYTES, signal);
    const { mediaType } = parseManifest(bytes);
    return isManifestType(mediaType) ? { mediaType, bytes } : undefined;
  } catch (error) {
    if (error instanceof ManifestError || error instanceof BlobTooLargeError) return undefined;
    throw error;
  }
}
