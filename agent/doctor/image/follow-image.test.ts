import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { SharePolicy } from '../../oci/share-policy.ts';
import { parseShareRule } from '../../oci/share-rule.ts';
import { doctorStage, serve } from '../../testing/doctor-facts.ts';
import { makeImage, putImage, type TestImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { Facts } from '../facts.ts';
import { ImageFollower } from './follow-image.ts';
import { renderImage, type ImageReport } from './image-report.ts';
import { qualify } from './qualify.ts';

const NAME = 'registry.example/team/app:1.0';

/** Follows an image on a node whose agent has this mirror, these peers as holders of all content, and these settings. */
async function follow(
  t: TestContext,
  mirror: MirrorNode,
  peers: readonly MirrorNode[],
  {
    name = NAME,
    settings = {},
    held,
    gone = [] as readonly string[],
    containerd = true,
    folder = {},
  }: {
    name?: string;
    settings?: Record<string, unknown>;
    held?: TestImage;
    gone?: readonly string[];
    containerd?: boolean;
    /** Files below certs.d. */
    folder?: Readonly<Record<string, string>>;
  } = {},
): Promise<ImageReport> {
  const registryPort = Number(new URL(mirror.origin).port);
  const port = await serve(t, (req, res) => {
    const status = { settings: { registryPort, ...settings }, integrity: { bad: {} } };
    const named = peers.map(({ origin }, index) => ({ peerId: `p${index}`, origins: [origin] }));
    res.end(JSON.stringify(req.url === '/debug/status' ? status : { peers: named }));
  });
  const images = { 'k8s.io': held === undefined ? {} : { [name]: held } };
  const { init, write } = await doctorStage(t, containerd ? { images, gone } : undefined, {
    metricsAddress: { host: '127.0.0.1', port },
  });
  for (const [file, text] of Object.entries(folder)) write(`certs.d/${file}`, text);
  using facts = new Facts(init);
  const reference = qualify(name);
  assert.ok(reference !== undefined);
  return await new ImageFollower(facts, '1.0.0').follow(reference);
}

describe('ImageFollower', () => {
  it('follows an image to the peer that has it', async (t) => {
    await using holder = await startMirror();
    const image = makeImage(100, 200);
    putImage(holder.store, image, NAME);
    const router = new FixedRouter(providerOf('holder', holder));
    await using mirror = await startMirror({ router });
    const report = await follow(t, mirror, [holder]);
    assert.equal(report.result, 'ok', JSON.stringify(report));
    assert.deepEqual(
      report.parts.map(({ kind }) => kind),
      ['tag', 'manifest', 'config', 'layer', 'layer'],
    );
    for (const part of report.parts) {
      assert.equal(part.here, false);
      assert.equal(part.servedBy, holder.origin);
      assert.equal(part.holders[0]?.answer, 'has it');
    }
    const text = renderImage(report);
    assert.match(text, /^ {2}layer +sha256:[0-9a-f]{12} +\d+ B +no +1 +http:/m);
    assert.match(text, /0 parts from this node, 5 from peers/);
  });

  it('follows an image through the mirror when containerd does not answer', async (t) => {
    await using mirror = await startMirror();
    putImage(mirror.store, makeImage(100, 200), NAME);
    const report = await follow(t, mirror, [], { containerd: false });
    assert.equal(report.result, 'ok', JSON.stringify(report));
    assert.deepEqual(
      report.parts.map(({ kind, here, servedBy }) => [kind, here, servedBy]),
      ['tag', 'manifest', 'config', 'layer', 'layer'].map((kind) => [kind, undefined, 'local']),
    );
  });

  it('reports the answers of holders that do not have the image', async (t) => {
    await using empty = await startMirror();
    const router = new FixedRouter(providerOf('empty', empty));
    await using mirror = await startMirror({ router });
    const report = await follow(t, mirror, [empty]);
    assert.equal(report.result, 'failure');
    assert.match(report.parts[0]?.why ?? '', /no node that is named as a holder serves it/);
    assert.match(renderImage(report), /named as holders, but not serving:\n.*does not have it/);
    const alone = await follow(t, mirror, []);
    assert.equal(alone.parts[0]?.why, 'no node has it');
  });

  it('says why the tag latest, a registry or a filtered image is not shared', async (t) => {
    const image = makeImage(10);
    const name = 'registry.example/team/app:latest';
    await using mirror = await startMirror({ policy: new SharePolicy() });
    putImage(mirror.store, image, name);
    const latest = await follow(t, mirror, [], { name, held: image });
    assert.match(latest.parts[0]?.why ?? '', /latest is not shared/);
    assert.deepEqual(
      new Set(latest.parts.slice(1).map(({ servedBy }) => servedBy)),
      new Set(['local']),
    );

    await using untagged = await startMirror({ policy: new SharePolicy({ tags: false }) });
    putImage(untagged.store, image, NAME);
    const byTag = await follow(t, untagged, [], { held: image, settings: { resolveTags: false } });
    assert.match(byTag.parts[0]?.why ?? '', /--resolve-tags=false.* by digest/);

    await using closed = await startMirror({
      policy: new SharePolicy({ registries: ['ghcr.io'] }),
    });
    const settings = { registries: ['ghcr.io'] };
    const left = await follow(t, closed, [], { held: image, settings });
    assert.match(left.parts[1]?.why ?? '', /registry\.example is not mirrored/);
    const filters = { filters: ['^registry\\.example/team/'] };
    await using filtered = await startMirror({ policy: new SharePolicy({ filters: [/team/] }) });
    const out = await follow(t, filtered, [], { held: image, settings: filters });
    assert.match(out.parts[0]?.why ?? '', /--registry-filters/);
  });

  for (const mode of ['authorized', 'auto']) {
    it(`finds all content of an image whose name the registry resolves (${mode}), and no failure`, async (t) => {
      const image = makeImage(100);
      const share = [`*=${mode}`];
      const policy = new SharePolicy({ rules: share.map(parseShareRule) });
      await using mirror = await startMirror({ policy });
      putImage(mirror.store, image, NAME);
      const report = await follow(t, mirror, [], { held: image, settings: { share } });
      assert.equal(report.result, 'ok', JSON.stringify(report));
      assert.match(report.reason, /3 parts from this node, 0 from peers\. The registry says/);
      const [tag, ...content] = report.parts;
      assert.equal(tag?.servedBy, undefined);
      assert.match(tag?.why ?? '', /the registry says what it means.*--share/);
      assert.deepEqual(new Set(content.map(({ servedBy }) => servedBy)), new Set(['local']));
    });
  }

  it('says that containerd will not ask the mirror, although that has all of it', async (t) => {
    const image = makeImage(10);
    await using mirror = await startMirror();
    putImage(mirror.store, image, NAME);
    const folder = { 'registry.example/hosts.toml': "[host.'https://cache.example']\n" };
    const report = await follow(t, mirror, [], { held: image, folder });
    assert.ok(report.parts.every(({ servedBy }) => servedBy === 'local'));
    assert.equal(report.result, 'failure');
    assert.match(
      report.reason,
      /^containerd will not ask the mirror for images of registry\.example: .*does not name the mirror\.$/,
    );
    const named = { '_default/hosts.toml': `[host.'${mirror.origin}']\n` };
    assert.equal((await follow(t, mirror, [], { held: image, folder: named })).result, 'ok');
  });

  it('says that containerd discarded the layers', async (t) => {
    const image = makeImage(10, 20);
    await using mirror = await startMirror();
    for (const digest of [image.manifest.digest, image.config]) {
      mirror.store.putBlob(image.blobs.get(digest) ?? Buffer.alloc(0), digest);
    }
    const report = await follow(t, mirror, [], { held: image, gone: image.layers });
    const layers = report.parts.filter(({ kind }) => kind === 'layer');
    assert.equal(layers.length, 2);
    for (const { here, why } of layers) {
      assert.equal(here, false);
      assert.match(why ?? '', /thrown away here after unpacking/);
    }
  });

  it('notes that the agent does not answer, and does not know what is on this node', async (t) => {
    const { init } = await doctorStage(t, undefined);
    using facts = new Facts(init);
    const reference = qualify(NAME);
    assert.ok(reference !== undefined);
    const report = await new ImageFollower(facts, '1.0.0').follow(reference);
    assert.equal(report.result, 'failure');
    assert.match(report.notes.join(), /the agent does not answer/);
    assert.equal(report.parts[0]?.here, undefined);
  });
});
