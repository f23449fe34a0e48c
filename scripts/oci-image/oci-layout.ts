import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** A reference to a blob (OCI image specification, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:<hex>`. */
  readonly digest: string;
  /** Length in bytes. */
  readonly size: number;
  readonly platform?: Platform;
  /** Media type of an artifact that is not an image, such as an SBOM. */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The platform of an image (OCI image specification, image-index.md). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** The fields of a manifest or an index that are used here. */
export interface Manifest {
  readonly mediaType?: string;
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
  /** The manifest that this artifact describes. */
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Path of a blob in a layout. */
export function blobPath(layout: string, digest: string): string {
  return join(layout, 'blobs', ...digest.split(':'));
}

/** Creates an empty OCI image layout in the folder, unless there is one. */
export async function initLayout(layout: string): Promise<void> {
  await mkdir(join(layout, 'blobs', 'sha256'), { recursive: true });
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(layout, 'index.json'), formatIndex([]), { flag: 'wx' }).catch(
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    },
  );
}

/** Streams a blob into the layout, and renames it to its digest when it is complete. */
export async function putBlob(
  layout: string,
  mediaType: string,
  bytes: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<Descriptor> {
  const temporary = join(layout, `.incoming-${randomUUID()}`);
  const hash = createHash('sha256');
  let size = 0;
  try {
    const measured = tap(bytes, (chunk) => {
      hash.update(chunk);
      size += chunk.length;
    });
    await pipeline(measured, createWriteStream(temporary));
    const digest = `sha256:${hash.digest('hex')}`;
    await rename(temporary, blobPath(layout, digest));
    return { mediaType, digest, size };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Yields the chunks of a source, and calls `look` with each one first. */
export async function* tap(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  look: (chunk: Buffer) => void,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of source) {
    look(chunk);
    yield chunk;
  }
}

/** Stores a document as JSON. */
export async function putJson(
  layout: string,
  mediaType: string,
  value: unknown,
): Promise<Descriptor> {
  return putBlob(layout, mediaType, [Buffer.from(JSON.stringify(value))]);
}

/** The descriptor of a JSON document, which is not stored. */
export function describeJson(mediaType: string, value: unknown): Descriptor {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { mediaType, digest, size: bytes.length };
}

/** Reads a manifest or an index from the layout. */
export async function readManifest(layout: string, digest: string): Promise<Manifest> {
  return JSON.parse(await readFile(blobPath(layout, digest), 'utf8')) as Manifest;
}

/** Reads the entries of `index.json`. */
export async function readIndex(layout: string): Promise<readonly Descriptor[]> {
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as Manifest;
  return index.manifests ?? [];
}

/** Replaces the entries of `index.json`, atomically. */
export async function writeIndex(layout: string, entries: readonly Descriptor[]): Promise<void> {
  const temporary = join(layout, `.index-${randomUUID()}.json`);
  await writeFile(temporary, formatIndex(entries));
  await rename(temporary, join(layout, 'index.json'));
}

/** Adds an image to `index.json`, and replaces one of the same name, atomically. */
export async function addToIndex(layout: string, entry: Descriptor): Promise<void> {
  const name = entry.annotations?.[IMAGE_NAME];
  const others = (await readIndex(layout)).filter((it) => it.annotations?.[IMAGE_NAME] !== name);
  await writeIndex(layout, [...others, entry]);
}

/** The annotation with the whole reference, which containerd's importer prefers. */
export const IMAGE_NAME = 'io.containerd.image.name';
/** The annotation of the specification, in which skopeo and umoci write the tag. */
export const REF_NAME = 'org.opencontainers.image.ref.name';

function formatIndex(manifests: readonly Descriptor[]): string {
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  return JSON.stringify({ schemaVersion: 2, mediaType, manifests }, undefined, 2);
}
