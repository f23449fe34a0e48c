import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import type { KeyAdvertiser } from '../routing/router.ts';
import type { StoreChange } from '../store/content-store.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage, sha256 } from '../testing/image.ts';
import { quiet } from '../testing/quiet.ts';
import { Inventory } from './inventory.ts';
import { Publisher } from './publisher.ts';

/** Takes keys as a router does, with a switch to refuse. */
class FakeRouter implements KeyAdvertiser {
  readonly keys = new Set<string>();
  refuses = false;

  advertise(keys: readonly string[]): Promise<void> {
    if (this.refuses) return Promise.reject(new Error('refused'));
    for (const key of keys) this.keys.add(key);
    return Promise.resolve();
  }

  withdraw(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.keys.delete(key);
    return Promise.resolve();
  }

  isAdvertised(key: string): boolean {
    return this.keys.has(key);
  }
}

interface Fixture extends AsyncDisposable {
  readonly store: MemoryStore;
  readonly router: FakeRouter;
  readonly inventory: Inventory;
  readonly metrics: Metrics;
}

function follow(store: MemoryStore, policy = new SharePolicy(), logger = quiet): Fixture {
  const metrics = createMetrics();
  const router = new FakeRouter();
  const publisher = new Publisher({ router, metrics, logger: quiet });
  const inventory = new Inventory({ store, publisher, policy, metrics, logger });
  const stop = new AbortController();
  const running = Promise.all([publisher.run(stop.signal), inventory.run(stop.signal)]);
  return {
    store,
    router,
    inventory,
    metrics,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

const advertises = async ({ router }: Fixture, keys: Iterable<string>): Promise<void> => {
  const expected = [...keys].sort();
  await eventually(() => {
    assert.deepEqual([...router.keys].sort(), expected);
  });
};

const NAME = 'docker.io/library/app:1.0';

/** Announces no blob. */
class UnannouncingStore extends MemoryStore {
  override async *changes(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    for await (const change of super.changes(signal)) {
      if (change.kind !== 'blob-added') yield change;
    }
  }
}

describe('Inventory', () => {
  it('advertises the tags and digests that the store holds at the start', async () => {
    const store = new MemoryStore();
    const image = makeImage(10, 20);
    putImage(store, image, NAME);
    await using node = follow(store);
    await advertises(node, [NAME, ...image.blobs.keys()]);
    const counts = node.inventory.countByRegistry();
    assert.deepEqual([...counts], [['docker.io', { tags: 1, images: 1, content: 4 }]]);
  });

  it('advertises blobs during a pull, before the image has a name', async () => {
    await using node = follow(new MemoryStore());
    const image = makeImage(10, 20);
    putImage(node.store, image);
    await advertises(node, image.blobs.keys());
    node.store.setImage(NAME, image.manifest);
    await advertises(node, [NAME, ...image.blobs.keys()]);
  });

  it('withdraws a tag when its image is deleted, and a digest when its blob is deleted', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, NAME);
    await using node = follow(store);
    await advertises(node, [NAME, ...image.blobs.keys()]);
    store.deleteImage(NAME);
    await advertises(node, image.blobs.keys());
    for (const digest of image.blobs.keys()) store.deleteBlob(digest);
    await advertises(node, []);
  });

  it('advertises the canonical name of a registry in capital letters, until its last record is deleted', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, 'Registry.EXAMPLE:5000/app:V1');
    putImage(store, image, 'index.docker.io/library/app:1');
    putImage(store, image, 'docker.io/library/app:1');
    await using node = follow(store);
    const [capital, hub] = ['registry.example:5000/app:V1', 'docker.io/library/app:1'];
    await advertises(node, [capital, hub, ...image.blobs.keys()]);
    assert.deepEqual(node.inventory.recordNames(hub), ['index.docker.io/library/app:1']);
    store.deleteImage('docker.io/library/app:1');
    await eventually(() => {
      assert.equal(node.inventory.status().images, 2);
    });
    await advertises(node, [capital, hub, ...image.blobs.keys()]);
    store.deleteImage('index.docker.io/library/app:1');
    await advertises(node, [capital, ...image.blobs.keys()]);
  });

  it('withdraws a tag when its manifest is deleted', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, NAME);
    await using node = follow(store);
    await advertises(node, [NAME, ...image.blobs.keys()]);
    store.deleteBlob(image.manifest.digest);
    await advertises(node, [image.config, ...image.layers]);
  });

  it('advertises the content of the new image when a tag moves', async () => {
    const store = new MemoryStore();
    const [first, second] = [makeImage(10), makeImage(10)];
    putImage(store, first, NAME);
    await using node = follow(store);
    await advertises(node, [NAME, ...first.blobs.keys()]);
    putImage(store, second, NAME);
    await advertises(node, [NAME, ...first.blobs.keys(), ...second.blobs.keys()]);
  });

  it('advertises the held part of an index, and the rest when it arrives', async () => {
    const store = new MemoryStore();
    const [here, later] = [makeImage(10), makeImage(20)];
    const index = Buffer.from(JSON.stringify({ manifests: [here.manifest, later.manifest] }));
    const target = {
      mediaType: MEDIA_TYPE.ociIndex,
      digest: store.putBlob(index),
      size: index.length,
    };
    putImage(store, here);
    store.setImage(NAME, target);
    const secret = new SharePolicy({ filters: [/library\/app$/] });
    await using node = follow(store);
    await using filtered = follow(store, secret);
    await advertises(node, [NAME, target.digest, ...here.blobs.keys()]);
    await advertises(filtered, []);
    putImage(store, later);
    await advertises(node, [NAME, target.digest, ...here.blobs.keys(), ...later.blobs.keys()]);
    await eventually(() => {
      assert.equal(filtered.inventory.status().blobs, 1 + here.blobs.size + later.blobs.size);
    });
    // The late manifest belongs to an excluded image. So do its layers, once it was read.
    await advertises(filtered, []);
  });

  it('advertises digests only, when no tags are shared', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, NAME);
    await using node = follow(store, new SharePolicy({ tags: false }));
    await advertises(node, [...image.blobs.keys()]);
  });

  it('skips digests as names, latest and names that cannot be parsed, and counts the latter once', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, image.config);
    store.setImage('docker.io/library/app:latest', image.manifest);
    store.setImage('docker.io/library/UPPER:1', image.manifest);
    store.setImage(NAME, image.manifest);
    await using node = follow(store);
    await advertises(node, [NAME, ...image.blobs.keys()]);
    store.setImage('docker.io/library/UPPER:1', image.manifest);
    store.setImage('docker.io/library/other:1', image.manifest);
    await advertises(node, [NAME, 'docker.io/library/other:1', ...image.blobs.keys()]);
    const metrics = await node.metrics.registry.metrics();
    assert.match(metrics, /store_problems_total\{reason="unparsable-name"\} 1/);
  });

  it('leaves out the content of a broken manifest and nothing else', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, NAME);
    const broken = Buffer.from('{ not json');
    const digest = store.putBlob(broken);
    const target = { mediaType: MEDIA_TYPE.ociManifest, digest, size: broken.length };
    store.setImage('docker.io/library/broken:1', target);
    await using node = follow(store);
    await advertises(node, [NAME, digest, ...image.blobs.keys()]);
    const metrics = await node.metrics.registry.metrics();
    assert.match(metrics, /store_problems_total\{reason="broken-manifest"\} 1/);
  });

  it('advertises a blob of a shared image, though policy excludes another image with it', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, 'docker.io/secret/app:1');
    const policy = new SharePolicy({ filters: [/\/secret\//] });
    await using node = follow(store, policy);
    await eventually(() => {
      assert.equal(node.inventory.status().synced, true);
    });
    await advertises(node, []);
    store.setImage(NAME, image.manifest);
    await advertises(node, [NAME, ...image.blobs.keys()]);
    store.deleteImage(NAME);
    await advertises(node, []);
  });

  it('advertises the content of a registry on the node itself, and not its tags', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    putImage(store, image, 'localhost:30500/team/app:1');
    await using node = follow(store);
    await advertises(node, [...image.blobs.keys()]);
  });

  it('corrects what it missed while the store was unavailable', async () => {
    const store = new MemoryStore();
    const [gone, kept, come] = [makeImage(10), makeImage(10), makeImage(10)];
    putImage(store, gone, 'docker.io/library/gone:1');
    putImage(store, kept, NAME);
    await using node = follow(store);
    await advertises(node, [
      NAME,
      'docker.io/library/gone:1',
      ...gone.blobs.keys(),
      ...kept.blobs.keys(),
    ]);
    store.available = false;
    store.deleteImage('docker.io/library/gone:1');
    for (const digest of gone.blobs.keys()) store.deleteBlob(digest);
    putImage(store, come, 'docker.io/library/come:1');
    store.available = true;
    await advertises(node, [
      NAME,
      'docker.io/library/come:1',
      ...kept.blobs.keys(),
      ...come.blobs.keys(),
    ]);
  });

  it('reads an unreadable manifest again when it is announced or the store is listed', async () => {
    const store = new MemoryStore();
    const image = makeImage(10);
    const { digest } = image.manifest;
    const halfWritten = (): void => {
      putImage(store, image);
      store.putBlob(Buffer.from('{ half'), digest);
    };
    halfWritten();
    store.setImage(NAME, image.manifest);
    await using node = follow(store);
    await advertises(node, image.blobs.keys());
    putImage(store, image);
    await advertises(node, [NAME, ...image.blobs.keys()]);

    halfWritten();
    store.setImage(NAME, image.manifest);
    await advertises(node, image.blobs.keys());
    store.available = false;
    putImage(store, image);
    store.available = true;
    await advertises(node, [NAME, ...image.blobs.keys()]);
  });

  it('finds the blobs of an image that the store did not announce', async () => {
    const store = new UnannouncingStore();
    await using node = follow(store);
    await eventually(() => {
      assert.equal(node.inventory.status().synced, true);
    });
    const image = makeImage(10, 20);
    putImage(store, image, NAME);
    await advertises(node, [NAME, ...image.blobs.keys()]);
  });

  it('warns once while the store cannot be listed, and logs when it can be listed again', async (test) => {
    const store = new MemoryStore();
    const lines: string[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
    const listing = test.mock.method(store, 'images', () => Promise.reject(new Error('too much')));
    await using node = follow(store, new SharePolicy(), logger);
    await eventually(() => {
      assert.ok(listing.mock.callCount() >= 3);
    });
    listing.mock.restore();
    await eventually(() => {
      assert.equal(node.inventory.status().synced, true);
    });
    assert.equal(lines.filter((line) => line.includes('could not list')).length, 1);
    assert.equal(lines.filter((line) => line.includes('listed again')).length, 1);
    assert.match(lines.find((line) => line.includes('store listed')) ?? '', /"synced":true/);
  });

  it('tries again when the router did not take the keys', async () => {
    const store = new MemoryStore();
    await using node = follow(store);
    node.router.refuses = true;
    const digest = store.putBlob(Buffer.from('x'));
    await eventually(() => {
      assert.equal(node.inventory.status().blobs, 1);
    });
    node.router.refuses = false;
    await advertises(node, [digest]);
    assert.equal(digest, sha256(Buffer.from('x')));
  });
});
