import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Info } from '../../../proto/generated/containerd/services/content/v1/content.ts';
import { sha256 } from '../../testing/image.ts';
import { LabelProvenance } from './label-provenance.ts';

const digest = sha256(Buffer.from('manifest'));
const APP = { registry: 'ghcr.io', repository: 'team/app' };

/** One manifest with these labels. */
class Labels {
  readonly labels: Record<string, string>;

  constructor(labels: Record<string, string> = {}) {
    this.labels = labels;
  }

  info(asked: string): Promise<Info | undefined> {
    const info = { digest, size: 1, createdAt: undefined, labels: this.labels };
    return Promise.resolve(asked === digest ? info : undefined);
  }

  label(_digest: string, key: string, value: string): Promise<void> {
    this.labels[key] = value;
    return Promise.resolve();
  }
}

function withSource(host: string, repositories: string): LabelProvenance {
  const labels = { [`containerd.io/distribution.source.${host}`]: repositories };
  return new LabelProvenance(new Labels(labels));
}

describe('LabelProvenance', () => {
  it('takes an image without the label of a pull for imported', async () => {
    const provenance = new LabelProvenance(new Labels({ 'containerd.io/gc.ref.content.0': 'x' }));
    assert.equal(await provenance.origin(digest, APP), 'import');
  });

  it('takes an image for pulled that has the label of its repository', async () => {
    assert.equal(await withSource('ghcr.io', 'other,team/app').origin(digest, APP), 'registry');
    for (const [registry, host] of [
      ['registry.example:5000', 'registry.example'],
      ['[fd00::1]:5000', 'fd00::1'],
      ['docker.io', 'index.docker.io'],
      ['registry.example', 'Registry.Example'],
    ] as const) {
      const name = { registry, repository: 'app' };
      assert.equal(await withSource(host, 'app').origin(digest, name), 'registry', registry);
    }
  });

  it('takes an image for imported that was pulled under another name', async () => {
    assert.equal(await withSource('ghcr.io', 'team/app2,app').origin(digest, APP), 'import');
    assert.equal(await withSource('ghcr.io.example', 'team/app').origin(digest, APP), 'import');
  });

  it('takes an image for pulled when the label has no room for another name', async () => {
    const full = Array.from({ length: 450 }, (_, at) => `app${at + 10_000}`).join(',');
    assert.equal(await withSource('ghcr.io', full).origin(digest, APP), 'registry');
  });

  it('takes an image for pulled that the store does not hold', async () => {
    const absent = sha256(Buffer.from('absent'));
    const labels = new Labels();
    const provenance = new LabelProvenance(labels);
    assert.equal(await provenance.origin(absent, APP), 'registry');
    await provenance.mark(absent, APP);
    assert.deepEqual(labels.labels, {});
  });

  it('marks an image under each of its names, for good', async () => {
    const source = { 'containerd.io/distribution.source.ghcr.io': 'team/app,team/other' };
    const provenance = new LabelProvenance(new Labels(source));
    await provenance.mark(digest, APP);
    assert.equal(await provenance.origin(digest, APP), 'marked');
    const other = { ...APP, repository: 'team/other' };
    assert.equal(await provenance.origin(digest, other), 'registry');
    await provenance.mark(digest, other);
    for (const name of [APP, other]) {
      assert.equal(await provenance.origin(digest, name), 'marked');
    }
  });
});
