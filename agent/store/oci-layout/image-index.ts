import type { BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { parseDigest } from '../../oci/digest.ts';
import type { StoredImage } from '../content-store.ts';
import { unlessMissing } from '../../errors/system-error.ts';

export type Images = ReadonlyMap<string, StoredImage>;

/** Largest `index.json` that is read, in bytes. */
const MAX_INDEX = 16 * 1024 * 1024;

/**
 * Two writes within one tick of the file system's clock leave the same time behind. So long after a
 * file's time, in milliseconds, that cannot be: only then does an unchanged time prove unchanged content.
 */
const SETTLED = 2_000;

/** Annotations that name an image, the first that is present counts; containerd's holds a full reference. */
const NAMES = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];

/**
 * The images that `index.json` of a layout names.
 *
 * @see OCI image specification, image-layout.md, "index.json file"
 */
export class ImageIndex {
  readonly #path: string;
  readonly #logger: Logger;
  #images: Images = new Map();
  #seen: string | undefined;
  #broken = false;

  constructor(root: string, logger: Logger) {
    this.#path = join(root, 'index.json');
    this.#logger = logger;
  }

  /** Whether the file could not be understood when last read: it is being written, or damaged. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Reads the file when it may have changed. A file that cannot be understood, half-written for instance,
   * leaves what was there before; without a file there are no images.
   *
   * @throws what the file system says, when the file is there but cannot be read
   */
  async load(): Promise<Images> {
    const file = await unlessMissing(open(this.#path, 'r'));
    if (file === undefined) {
      this.#seen = undefined;
      this.#broken = false;
      this.#images = new Map();
      return this.#images;
    }
    try {
      const stats = await file.stat({ bigint: true });
      const version = versionOf(stats);
      if (version === this.#seen) return this.#images;
      const now = Date.now();
      const text = stats.size > MAX_INDEX ? undefined : await file.readFile('utf8');
      this.#take(text);
      this.#seen = now - Number(stats.ctimeMs) > SETTLED ? version : undefined;
    } finally {
      await file.close();
    }
    return this.#images;
  }

  #take(text: string | undefined): void {
    try {
      if (text === undefined) throw new Error(`index.json is larger than ${MAX_INDEX} bytes`);
      this.#images = parseImageIndex(text);
      this.#broken = false;
    } catch (error) {
      // Once until it is understood again: a writer that is slow or busy leaves many versions behind.
      if (this.#broken) return;
      this.#broken = true;
      this.#logger.warn(
        { err: error, path: this.#path },
        'index.json not understood, kept as before',
      );
    }
  }
}

/**
 * Tells one version of a file from another, as far as the file system's clock allows. By the time of change,
 * which nobody can set: the time of modification is the same in all files of a reproducible archive.
 */
function versionOf(stats: BigIntStats): string {
  return `${stats.ino}:${stats.size}:${stats.ctimeNs}`;
}

/**
 * Names and targets in the text of an `index.json`. Entries without a name or a sound descriptor are passed
 * over, and of two with the same name the later one counts.
 *
 * @throws SyntaxError, or TypeError when it is not an index
 */
function parseImageIndex(text: string): Images {
  const index: unknown = JSON.parse(text);
  if (!isObject(index) || !Array.isArray(index['manifests'])) {
    throw new TypeError('index.json has no list of manifests');
  }
  const images = new Map<string, StoredImage>();
  for (const entry of index['manifests'] as readonly unknown[]) {
    const image = parseEntry(entry);
    if (image !== undefined) images.set(image.name, image);
  }
  return images;
}

function parseEntry(entry: unknown): StoredImage | undefined {
  if (!isObject(entry) || !isObject(entry['annotations'])) return undefined;
  const { mediaType, digest: text, size, annotations } = entry;
  const name = NAMES.map((key) => annotations[key]).find(isName);
  const digest = typeof text === 'string' ? parseDigest(text) : undefined;
  if (name === undefined || digest === undefined || !isSize(size)) return undefined;
  const type = typeof mediaType === 'string' ? mediaType : 'application/octet-stream';
  return { name, target: { mediaType: type, digest, size } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
