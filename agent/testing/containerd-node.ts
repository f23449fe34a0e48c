import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ContentCreate, ContentDelete } from '../../proto/generated/containerd/events/content.ts';
import {
  ImageCreate,
  ImageDelete,
  ImageUpdate,
} from '../../proto/generated/containerd/events/image.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { blobPath } from '../store/blob-file.ts';
import { ContainerdStore, type ContainerdStoreInit } from '../store/containerd-store.ts';
import { publishesContentEvents } from '../store/containerd/version.ts';
import { digestOf, type StoreUnderTest } from './conformance/content-store.ts';
import { ContainerdServer } from './containerd-server.ts';
import { quiet } from './quiet.ts';

/** The namespace that the store under test reads. */
const NAMESPACE = 'k8s.io';

/**
 * A {@link ContainerdServer} with a content folder, which changes as containerd changes them: file, record and event, in
 * this order. For tests that need no daemon.
 */
export class ContainerdNode implements StoreUnderTest {
  readonly server: ContainerdServer;
  readonly store: ContainerdStore;
  readonly contentPath: string;
  readonly #version: string;

  private constructor(
    server: ContainerdServer,
    contentPath: string,
    version: string,
    init: Partial<ContainerdStoreInit>,
  ) {
    this.server = server;
    this.contentPath = contentPath;
    this.#version = version;
    this.store = new ContainerdStore({
      socketPath: server.socketPath,
      namespace: NAMESPACE,
      contentPath,
      logger: quiet,
      ...init,
    });
  }

  /** @param version decides whether there are events of new blobs */
  static async start(
    version = '2.1.9',
    init: Partial<ContainerdStoreInit> = {},
  ): Promise<ContainerdNode> {
    const contentPath = await mkdtemp(join(tmpdir(), 'pg-content-'));
    await mkdir(join(contentPath, 'blobs', 'sha256'), { recursive: true });
    return new ContainerdNode(
      await ContainerdServer.start({ version }),
      contentPath,
      version,
      init,
    );
  }

  /** @param namespace of the record; the file is in the folder of all namespaces */
  putBlob = async (bytes: Buffer, namespace = NAMESPACE): Promise<Digest> => {
    const digest = digestOf(bytes);
    const path = blobPath(this.contentPath, digest);
    await writeFile(join(this.contentPath, `${digest}.tmp`), bytes);
    await rename(join(this.contentPath, `${digest}.tmp`), path);
    this.server.blobsOf(namespace).set(digest, { bytes, createdAt: new Date() });
    if (publishesContentEvents(this.#version)) {
      const event = ContentCreate.encode(ContentCreate.create({ digest, size: bytes.length }));
      this.server.publish(namespace, '/content/create', event.finish());
    }
    return digest;
  };

  deleteBlob = async (digest: Digest): Promise<void> => {
    this.server.blobsOf(NAMESPACE).delete(digest);
    await rm(blobPath(this.contentPath, digest), { force: true });
    const event = ContentDelete.encode(ContentDelete.create({ digest })).finish();
    this.server.publish(NAMESPACE, '/content/delete', event);
  };

  putImage = (name: string, target: Descriptor): Promise<void> => {
    const images = this.server.imagesOf(NAMESPACE);
    const [topic, Event] = images.has(name)
      ? (['/images/update', ImageUpdate] as const)
      : (['/images/create', ImageCreate] as const);
    images.set(name, target);
    this.server.publish(NAMESPACE, topic, Event.encode(Event.create({ name })).finish());
    return Promise.resolve();
  };

  deleteImage = (name: string): Promise<void> => {
    this.server.imagesOf(NAMESPACE).delete(name);
    const event = ImageDelete.encode(ImageDelete.create({ name })).finish();
    this.server.publish(NAMESPACE, '/images/delete', event);
    return Promise.resolve();
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.store[Symbol.dispose]();
    this.server[Symbol.dispose]();
    await rm(this.contentPath, { recursive: true });
  }
}
