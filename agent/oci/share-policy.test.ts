import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SharePolicy, type SharedRequest } from './share-policy.ts';
import { parseShareRule } from './share-rule.ts';

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

  it('shares no tag without tags, and all content', () => {
    const policy = new SharePolicy({ tags: false, latest: true });
    const name = { registry: 'ghcr.io', repository: 'a' };
    for (const tag of ['v1', 'latest']) {
      assert.equal(policy.sharesTag('ghcr.io', 'a', tag), false);
      for (const fromPeer of [false, true]) {
        const refusal = policy.refusal({ ...name, tag, method: 'HEAD', fromPeer });
        assert.match(refusal ?? '', /at the registry \(--resolve-tags=false\)/);
      }
    }
    assert.equal(policy.sharesContent('ghcr.io', 'a'), true);
    for (const method of ['GET', 'HEAD'] as const) {
      assert.equal(policy.refusal({ ...name, method }), undefined);
    }
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

  describe('with rules', () => {
    const policy = new SharePolicy({
      rules: ['ghcr.io/open=all', 'ghcr.io=authorized', 'quay.io/secret=none'].map(parseShareRule),
    });

    it('shares by the first rule that matches, and everything without one', () => {
      assert.equal(policy.sharesTag('ghcr.io', 'open/app', '1'), true);
      assert.equal(policy.sharesTag('ghcr.io', 'team/app', '1'), false);
      assert.equal(policy.sharesContent('ghcr.io', 'team/app'), true);
      assert.equal(policy.sharesContent('quay.io', 'secret/app'), false);
      assert.equal(policy.sharesTag('quay.io', 'open/app', '1'), true);
    });

    it('shows names only where all that have the key of the cluster may know them', () => {
      assert.equal(policy.showsName('ghcr.io', 'open/app'), true);
      assert.equal(policy.showsName('ghcr.io', 'team/app'), false);
      assert.equal(policy.showsName('quay.io', 'secret/app'), false);
    });

    it('leaves what a name means to the registry where that decides, and gives content by digest', () => {
      const name = { registry: 'ghcr.io', repository: 'team/app' };
      const refused = (request: Partial<SharedRequest>) =>
        policy.refusal({ ...name, method: 'GET', ...request }) !== undefined;
      assert.equal(refused({ tag: '1' }), true);
      assert.equal(refused({ tag: '1', method: 'HEAD' }), true);
      assert.equal(refused({ tag: '1', fromPeer: true }), true);
      assert.equal(refused({ method: 'HEAD' }), true);
      assert.equal(refused({ method: 'HEAD', fromPeer: true }), false);
      assert.equal(refused({}), false);
      assert.match(policy.refusal({ ...name, tag: '1' }) ?? '', /at the registry.*--share/);
    });
  });

  describe('with auto', () => {
    const policy = new SharePolicy({ rules: [parseShareRule('*=auto')], filters: [/left-out/] });
    const name = { registry: 'ghcr.io', repository: 'team/app' };

    it('shares names of imported images, and content of all', () => {
      assert.equal(policy.sharesTag('ghcr.io', 'team/app', '1', true), true);
      assert.equal(policy.sharesTag('ghcr.io', 'team/app', '1'), false);
      assert.equal(policy.sharesTag('ghcr.io', 'team/app', 'latest', true), false);
      assert.equal(policy.sharesTag('localhost:5000', 'app', '1', true), false);
      assert.equal(policy.sharesContent('ghcr.io', 'team/app'), true);
      assert.equal(policy.showsName('ghcr.io', 'team/app'), false);
    });

    it('leaves to the registry what the name of an image means that was not imported', () => {
      for (const asked of [{ tag: '1' }, { method: 'HEAD' }] as const) {
        assert.match(policy.refusal({ ...name, ...asked }) ?? '', /at the registry/);
        assert.equal(policy.isForRegistry({ ...name, ...asked }), true);
        assert.equal(policy.asksOrigin({ ...name, ...asked }), true);
        assert.equal(policy.refusal({ ...name, ...asked, isImported: true }), undefined);
        assert.equal(policy.isForRegistry({ ...name, ...asked, isImported: true }), false);
      }
      assert.equal(policy.refusal({ ...name, method: 'GET' }), undefined);
      assert.equal(policy.asksOrigin({ ...name, method: 'GET' }), false);
    });

    it('keeps credentials of this node from names that the registry resolves', () => {
      const withCredentials = [parseShareRule('ghcr.io/team=authorized')];
      const rules = ['quay.io=all', '*=auto'].map(parseShareRule);
      const lending = new SharePolicy({ rules, withCredentials });
      assert.equal(lending.lendsCredentials({ ...name, tag: '1' }), true);
      assert.equal(lending.lendsCredentials({ ...name, method: 'GET' }), false, 'content');
      assert.equal(lending.lendsCredentials({ ...name, repository: 'open', tag: '1' }), false);
      assert.equal(policy.lendsCredentials({ ...name, tag: '1' }), false);
    });

    it('leaves out what other options leave out', () => {
      const leftOut = { registry: 'ghcr.io', repository: 'left-out', tag: '1' };
      assert.notEqual(policy.refusal({ ...leftOut, isImported: true }), undefined);
      assert.equal(policy.asksOrigin(leftOut), false);
      assert.equal(policy.dependsOnOrigin('ghcr.io', 'left-out'), false);
    });
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

  it('has this node ask the registry for a tag, but for images of which the registry decides who may have them', () => {
    const ask = (init: ConstructorParameters<typeof SharePolicy>[0], tag = '1'): boolean =>
      new SharePolicy(init).asksRegistry({ registry: 'ghcr.io', repository: 'a', tag });
    const rule = (mode: string) => ({ rules: [parseShareRule(`ghcr.io=${mode}`)] });
    assert.deepEqual(
      ['all', 'auto', 'authorized', 'none'].map((mode) => ask(rule(mode))),
      [true, true, false, false],
    );
    const withCredentials = [parseShareRule('ghcr.io=authorized')];
    assert.equal(ask({ ...rule('auto'), withCredentials }), false);
    assert.equal(ask({ ...rule('all'), withCredentials }), true);
    assert.equal(ask({}, 'latest'), true);
    assert.equal(ask({ tags: false }), true);
    assert.equal(ask({ filters: [/:1$/] }), true);
    assert.equal(ask({ filters: [/^ghcr.io\/a$/] }), false);
    assert.equal(ask({ registries: ['docker.io'] }), false);
  });
});
