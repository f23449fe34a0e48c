import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';

import type { Digest } from '../oci/digest.ts';
import { ContainerdStore, type ContainerdStoreInit } from '../store/containerd-store.ts';
import type { StoreUnderTest } from './conformance/content-store.ts';
import { ContainerdFixture } from './containerd-fixture.ts';
import { quiet } from './quiet.ts';

/** A real containerd and a store that reads from it. */
export class ContainerdUnderTest implements StoreUnderTest {
  readonly fixture: ContainerdFixture;
  readonly store: ContainerdStore;

  private constructor(fixture: ContainerdFixture, init: Partial<ContainerdStoreInit>) {
    this.fixture = fixture;
    this.store = new ContainerdStore({
      socketPath: fixture.socketPath,
      namespace: fixture.namespace,
      contentPath: fixture.contentPath,
      logger: quiet,
      ...init,
    });
  }

  static async create(init: Partial<ContainerdStoreInit> = {}): Promise<ContainerdUnderTest> {
    return new ContainerdUnderTest(await ContainerdFixture.create(), init);
  }

  static async start(init?: Partial<ContainerdStoreInit>): Promise<ContainerdUnderTest> {
    const test = await ContainerdUnderTest.create(init);
    try {
      await test.fixture.start();
    } catch (error) {
      await test[Symbol.asyncDispose]();
      throw error;
    }
    return test;
  }

  putBlob: StoreUnderTest['putBlob'] = (bytes) => this.fixture.putBlob(bytes);
  deleteBlob: StoreUnderTest['deleteBlob'] = (digest) => this.fixture.deleteBlob(digest);
  putImage: StoreUnderTest['putImage'] = (name, target) => this.fixture.putImage(name, target);
  deleteImage: StoreUnderTest['deleteImage'] = (name) => this.fixture.deleteImage(name);

  /** Reads the whole blob from the store. */
  async read(digest: Digest): Promise<Buffer> {
    await using blob = await this.store.open(digest);
    assert.ok(blob !== undefined);
    return await buffer(blob.stream({ start: 0, end: blob.size - 1 }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.store[Symbol.dispose]();
    await this.fixture[Symbol.asyncDispose]();
  }
}
