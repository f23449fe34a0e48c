import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SharePolicy } from '../oci/share-policy.ts';
import { parseShareRule } from '../oci/share-rule.ts';
import { StoreUnavailableError } from '../store/content-store.ts';
import type { Origin, Provenance } from '../store/provenance.ts';
import { sha256 } from '../testing/image.ts';
import { quiet } from '../testing/quiet.ts';
import { ImportedImages } from './imported-images.ts';

const digest = sha256(Buffer.from('manifest'));
const APP = { registry: 'ghcr.io', repository: 'team/app' };
const policy = new SharePolicy({ rules: ['quay.io=all', '*=auto'].map(parseShareRule) });
const signal = new AbortController().signal;

/** An image with this origin. */
class FixedProvenance implements Provenance {
  readonly asked: string[] = [];
  canMark = true;
  #origin: Origin;

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  origin(): Promise<Origin> {
    this.asked.push('origin');
    return Promise.resolve(this.#origin);
  }

  mark(): Promise<void> {
    this.asked.push('mark');
    if (!this.canMark) return Promise.reject(new StoreUnavailableError('down'));
    this.#origin = 'marked';
    return Promise.resolve();
  }
}

function imagesFrom(origin: Origin): { images: ImportedImages; provenance: FixedProvenance } {
  const provenance = new FixedProvenance(origin);
  return { images: new ImportedImages({ policy, provenance, logger: quiet }), provenance };
}

describe('ImportedImages', () => {
  it('has what was imported, and marks it once', async () => {
    const { images, provenance } = imagesFrom('import');
    assert.equal(await images.has(APP, digest, signal), true);
    assert.equal(await images.has(APP, digest, signal), true);
    assert.deepEqual(provenance.asked, ['origin', 'mark', 'origin']);
  });

  it('does not have what was pulled', async () => {
    const { images, provenance } = imagesFrom('registry');
    assert.equal(await images.has(APP, digest, signal), false);
    assert.deepEqual(provenance.asked, ['origin']);
  });

  it('has what was pulled by a name that another node with the import has resolved', async () => {
    const { images } = imagesFrom('registry');
    images.resolved(APP, digest);
    const other = { ...APP, repository: 'team/other' };
    assert.equal(await images.has(other, digest, signal), false);
    assert.equal(await images.has(APP, sha256(Buffer.from('moved')), signal), false);
    assert.equal(await images.has(APP, digest, signal), true);
  });

  it('has an image that cannot be marked', async () => {
    const { images, provenance } = imagesFrom('import');
    provenance.canMark = false;
    assert.equal(await images.has(APP, digest, signal), true);
  });

  it('asks the store for nothing where the policy does not depend on the origin', async () => {
    const { images, provenance } = imagesFrom('import');
    assert.equal(await images.has({ ...APP, registry: 'quay.io' }, digest, signal), false);
    assert.deepEqual(provenance.asked, []);
  });

  it('has all images of a store that never pulled any', async () => {
    const images = new ImportedImages({ policy, logger: quiet });
    assert.equal(await images.has(APP, digest, signal), true);
  });
});
