import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SharePolicy } from './share-policy.ts';

describe('SharePolicy', () => {
  it('shares everything except the tag latest by default', () => {
    const policy = new SharePolicy();
    assert.equal(policy.sharesTag('docker.io', 'library/alpine', '3.20'), true);
    assert.equal(policy.sharesTag('docker.io', 'library/alpine', 'latest'), false);
    assert.equal(policy.sharesContent('docker.io', 'library/alpine'), true);
  });

  it('shares latest where that is enabled and no filter matches', () => {
    assert.equal(new SharePolicy({ latest: true }).sharesTag('docker.io', 'a', 'latest'), true);
    const filtered = new SharePolicy({ latest: true, filters: [/:latest$/] });
    assert.equal(filtered.sharesTag('docker.io', 'a', 'latest'), false);
  });

  it('leaves out a tag, and not its content, when a filter matches only with the tag', () => {
    const policy = new SharePolicy({ filters: [/:dev$/] });
    assert.equal(policy.sharesTag('ghcr.io', 'a', 'dev'), false);
    assert.equal(policy.sharesTag('ghcr.io', 'a', 'v1'), true);
    assert.equal(policy.sharesContent('ghcr.io', 'a'), true);
  });

  it('leaves out tags and content when a filter matches the name', () => {
    const policy = new SharePolicy({ filters: [/^ghcr\.io\/secret\//] });
    assert.equal(policy.sharesContent('ghcr.io', 'secret/a'), false);
    assert.equal(policy.sharesTag('ghcr.io', 'secret/a', 'v1'), false);
    assert.equal(policy.sharesContent('ghcr.io', 'open/a'), true);
  });

  it('shares content of a registry on the node itself, and none of its tags, whatever the options', () => {
    for (const registry of ['localhost', 'localhost:30500', '127.0.0.1:5000', '[::1]:5000']) {
      const policy = new SharePolicy({ registries: [registry], latest: true });
      for (const tag of ['1', 'latest']) {
        assert.equal(policy.sharesTag(registry, 'team/app', tag), false, `${registry} ${tag}`);
      }
      assert.equal(policy.sharesContent(registry, 'team/app'), true, registry);
    }
  });

  it('says why a request is refused', () => {
    const policy = new SharePolicy({ filters: [/secret/] });
    const refusal = (registry: string, repository: string, tag?: string): string | undefined =>
      policy.refusal({ registry, repository, ...(tag === undefined ? {} : { tag }) });
    assert.equal(refusal('ghcr.io', 'a', '1'), undefined);
    assert.equal(refusal('localhost:5000', 'a'), undefined);
    assert.match(refusal('localhost:5000', 'a', '1') ?? '', /on the node itself/);
    assert.match(refusal('ghcr.io', 'a', 'latest') ?? '', /configuration/);
    assert.match(refusal('ghcr.io', 'secret') ?? '', /configuration/);
  });

  it('shares only the mirrored registries where any are named', () => {
    const policy = new SharePolicy({ registries: ['Index.Docker.io'] });
    assert.equal(policy.sharesContent('docker.io', 'a'), true);
    assert.equal(policy.sharesContent('quay.io', 'a'), false);
    assert.equal(policy.sharesContent('', 'a'), false);
  });
});
