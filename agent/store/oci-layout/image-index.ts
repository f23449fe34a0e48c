import type { BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { parseDigest } from '../../oci/digest.ts';
import type { StoredImage } from '../content-store.ts';
import { unlessMissing } from '../../errors/system-error.ts';

export type Images = ReadonlyMap<string, StoredImage>;

/** Bytes of an `index.json`; a larger one is not read. */
const MAX_INDEX = 16 * 1024 * 1024;

/**
 * Milliseconds after which an unchanged time of a file proves unchanged content. Two writes within one tick of the file
 * system's clock leave the same time.
 */
const SETTLED_MS = 2_000;

/** Annotations that name an image. The first that is present counts; containerd's has a full reference. */
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

  /** Whether the file could not be parsed when it was last read: it is being written, or damaged. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Reads the file when it may have changed. The images stay as they were while it cannot be parsed, for instance
   * while it is being written. Without a file there are no images.
   *
   * @throws Error of the file system when the file exists but cannot be read
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
      this.#seen = now - Number(stats.ctimeMs) > SETTLED_MS ? version : undefined;
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
      // Once until it can be parsed again: a slow writer leaves many versions.
      if (this.#broken) return;
      this.#broken = true;
      this.#logger.warn(
        { err: error, path: this.#path },
        'index.json cannot be parsed, its images stay as they were',
      );
    }
  }
}

/**
 * Identifies a version of a file, as far as the file system's clock allows. By the change time, which cannot be set:
 * all files of a reproducible archive have the same modification time.
 */
function versionOf(stats: BigIntStats): string {
  return `${stats.ino}:${stats.size}:${stats.ctimeNs}`;
}

/**
 * Parses the names and targets of an `index.json`. Entries without a name or a valid descriptor are ignored. Of two
 * with the same name the later one counts.
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
