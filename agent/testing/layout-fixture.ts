import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';

import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { blobPath } from '../store/blob-file.ts';
import { digestOf, type StoreUnderTest } from './conformance/content-store.ts';
import { OciLayoutStore } from '../store/oci-layout-store.ts';

/** An OCI image layout on disk, whose files are written in full and then renamed into place. */
export class LayoutUnderTest implements StoreUnderTest {
  readonly store: OciLayoutStore;
  readonly path: string;
  readonly #parent: string;
  readonly #images = new Map<string, Descriptor>();

  private constructor(parent: string, comparisonInterval?: number) {
    this.#parent = parent;
    this.path = join(parent, 'layout');
    const logger = pino({ level: 'silent' });
    this.store = new OciLayoutStore({
      path: this.path,
      logger,
      ...(comparisonInterval === undefined ? {} : { comparisonInterval }),
    });
  }

  static async create(comparisonInterval?: number): Promise<LayoutUnderTest> {
    const parent = await mkdtemp(join(tmpdir(), 'peerglass-layout-'));
    return new LayoutUnderTest(parent, comparisonInterval);
  }

  /** Creates the layout's folder. Before that the store has none. */
  async begin(): Promise<this> {
    await mkdir(join(this.path, 'blobs', 'sha256'), { recursive: true });
    await this.writeIndex();
    return this;
  }

  async putBlob(bytes: Buffer): Promise<Digest> {
    const digest = digestOf(bytes);
    await this.#replace(blobPath(this.path, digest), bytes);
    return digest;
  }

  async deleteBlob(digest: Digest): Promise<void> {
    await rm(blobPath(this.path, digest));
  }

  async putImage(name: string, target: Descriptor): Promise<void> {
    this.#images.set(name, target);
    await this.writeIndex();
  }

  async deleteImage(name: string): Promise<void> {
    this.#images.delete(name);
    await this.writeIndex();
  }

  async writeIndex(): Promise<void> {
    const manifests = [...this.#images].map(([name, target]) => ({
      ...target,
      annotations: { 'org.opencontainers.image.ref.name': name },
    }));
    await this.#replace(this.index, JSON.stringify({ schemaVersion: 2, manifests }));
  }

  get index(): string {
    return join(this.path, 'index.json');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#parent, { recursive: true, force: true });
  }

  async #replace(path: string, content: string | Buffer): Promise<void> {
    const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
    await writeFile(temporary, content);
    await rename(temporary, path);
  }
}
