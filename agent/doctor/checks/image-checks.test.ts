import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { doctorStage, serveAgent } from '../../testing/doctor-facts.ts';
import { makeImage } from '../../testing/image.ts';

const NAME = 'registry.example/team/app:1.0';

describe('the check missing-layers', () => {
  it('is ok when every image has its layers', async (t) => {
    const images = { 'k8s.io': { [NAME]: makeImage(100, 200) } };
    const { find } = await doctorStage(t, { images });
    assert.equal((await find('missing-layers')).outcome, 'ok');
  });

  it('fails for images whose layers are gone', async (t) => {
    const image = makeImage(100, 200);
    const images = { 'k8s.io': { [NAME]: image, 'registry.example/whole:1': makeImage(10) } };
    const { find } = await doctorStage(t, { images, gone: image.layers.slice(0, 1) });
    const { outcome, details } = await find('missing-layers');
    assert.equal(outcome, 'failure');
    assert.deepEqual(details, [`${NAME}: 1 of 2 layers are gone`]);
  });

  it('ignores an image of which only the manifest is there', async (t) => {
    const image = makeImage(100);
    const images = { 'k8s.io': { [NAME]: image } };
    const { find } = await doctorStage(t, { images, gone: [image.config, ...image.layers] });
    assert.equal((await find('missing-layers')).outcome, 'ok');
  });
});

describe('the check image-namespace', () => {
  it('is ok when the images in default are in k8s.io too', async (t) => {
    const image = makeImage(10);
    const images = { 'k8s.io': { [NAME]: image }, default: { [NAME]: image } };
    const { find } = await doctorStage(t, { images });
    assert.equal((await find('image-namespace')).outcome, 'ok');
  });

  it('warns about images in default alone, and says how to copy them', async (t) => {
    const { find } = await doctorStage(t, { images: { default: { [NAME]: makeImage(10) } } });
    const { outcome, remedy, details } = await find('image-namespace');
    assert.equal(outcome, 'warning');
    assert.deepEqual(details, [NAME]);
    assert.match(
      remedy ?? '',
      /ctr -n default images export - 'registry\.example\/team\/app:1\.0'/,
    );
  });
});

describe('the check image-namespace, of another namespace', () => {
  it('fails for one without images while that of the kubelet has some', async (t) => {
    const images = { 'k8s.io': { [NAME]: makeImage(10) } };
    const { find } = await doctorStage(t, { images }, { namespace: 'k8s-io' });
    const { outcome, reason, remedy } = await find('image-namespace');
    assert.equal(outcome, 'failure');
    assert.match(reason, /namespace k8s-io, .* does not exist; k8s\.io, .* has 1/);
    assert.match(remedy ?? '', /--containerd-namespace k8s\.io/);
  });

  it('looks at the one that the agent shares', async (t) => {
    const images = { 'k8s.io': { [NAME]: makeImage(10) } };
    const status = { settings: { namespace: 'other' } };
    const metricsAddress = await serveAgent(t, { '/debug/status': status });
    const { find } = await doctorStage(t, { images }, { metricsAddress });
    assert.equal((await find('image-namespace')).outcome, 'failure');
  });

  it('warns when no namespace has images, and is ok for one that has', async (t) => {
    const empty = await doctorStage(t, {}, { namespace: 'other' });
    assert.equal((await empty.find('image-namespace')).outcome, 'warning');
    const images = { other: { [NAME]: makeImage(10) }, 'k8s.io': { [NAME]: makeImage(10) } };
    const used = await doctorStage(t, { images }, { namespace: 'other' });
    assert.equal((await used.find('image-namespace')).outcome, 'ok');
  });
});

describe('the check image-names', () => {
  it('warns about names that cannot be pulled', async (t) => {
    const image = makeImage(10);
    const alias = `sha256:${'a'.repeat(64)}`;
    const whole = await doctorStage(t, { images: { 'k8s.io': { [NAME]: image, [alias]: image } } });
    assert.equal((await whole.find('image-names')).outcome, 'ok');
    const bare = await doctorStage(t, { images: { 'k8s.io': { 'app:1.0': image } } });
    const { outcome, details } = await bare.find('image-names');
    assert.equal(outcome, 'warning');
    assert.deepEqual(details, ['app:1.0']);
  });
});
