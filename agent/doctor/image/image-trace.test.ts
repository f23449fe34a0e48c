import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Reference } from '../../oci/reference.ts';
import { doctorStage, serve } from '../../testing/doctor-facts.ts';
import { makeImage, type TestImage } from '../../testing/image.ts';
import { Facts } from '../facts.ts';
import { ImageTrace } from './image-trace.ts';
import { MirrorClient } from './mirror-client.ts';
import { settingsOf } from './settings.ts';

const NAME = 'registry.example/team/app:1.0';
const REFERENCE: Reference = { registry: 'registry.example', repository: 'team/app', tag: '1.0' };
const { signal } = new AbortController();

/** A trace on a node whose containerd has the image, and whose mirror answers with this status and these headers. */
async function traceOf(
  t: TestContext,
  image: TestImage,
  [status, headers]: [number, Record<string, string>],
  debugStatus: unknown = {},
  reference = REFERENCE,
): Promise<ImageTrace> {
  const port = await serve(t, (_req, res) => res.writeHead(status, headers).end());
  const { init } = await doctorStage(t, { images: { 'k8s.io': { [NAME]: image } } });
  const facts = new Facts(init);
  t.after(() => {
    facts[Symbol.dispose]();
  });
  const mirror = new MirrorClient(`http://127.0.0.1:${port}`, reference);
  return new ImageTrace(facts, settingsOf(debugStatus), reference, mirror);
}

describe('ImageTrace', () => {
  it('resolves a tag by the image record of this node', async (t) => {
    const image = makeImage(10);
    const served = {
      'X-Peerglass-Source': 'local',
      'Docker-Content-Digest': `sha256:${'0'.repeat(64)}`,
    };
    const trace = await traceOf(t, image, [200, served]);
    assert.deepEqual(await trace.tag('1.0', signal), {
      part: { kind: 'tag', key: NAME, here: true, holders: [], servedBy: 'local' },
      digest: image.manifest.digest,
    });
  });

  it('resolves a tag that is not on this node by the answer of the mirror', async (t) => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const trace = await traceOf(t, makeImage(10), [200, { 'Docker-Content-Digest': digest }]);
    const { part, digest: resolved } = await trace.tag('2.0', signal);
    assert.equal(resolved, digest);
    assert.deepEqual([part.here, part.servedBy], [false, 'the mirror']);
  });

  it('says why a descriptor is not served', async (t) => {
    const image = makeImage(10);
    const layer = { kind: 'layer', digest: image.layers[0] ?? image.config, size: 10 } as const;
    const bad = { integrity: { bad: { [layer.digest]: {} } } };
    const filtered = { settings: { filters: ['team/'] } };
    for (const [debugStatus, why] of [
      [{}, 'no node has it'],
      [bad, 'it has wrong bytes on the disk of this node'],
      [filtered, 'left out by --registry-filters'],
    ] as const) {
      const trace = await traceOf(t, image, [404, {}], debugStatus);
      const part = await trace.descriptor(layer, signal);
      assert.deepEqual(part, {
        kind: 'layer',
        key: layer.digest,
        size: 10,
        here: true,
        holders: [],
        why,
      });
    }
  });

  it('says that tags of a registry on the node itself are not shared', async (t) => {
    const local = { ...REFERENCE, registry: 'localhost:30500' };
    const trace = await traceOf(t, makeImage(10), [404, {}], {}, local);
    const { part } = await trace.tag('1.0', signal);
    assert.match(part.why ?? '', /localhost:30500 is another registry on each node/);
  });

  it('does not check a descriptor after the time is up', async (t) => {
    const image = makeImage(10);
    const trace = await traceOf(t, image, [200, {}]);
    const part = await trace.descriptor(
      { kind: 'config', digest: image.config },
      AbortSignal.abort(),
    );
    assert.match(part.why ?? '', /no time left/);
  });

  it('reads a manifest from the containerd of this node', async (t) => {
    const image = makeImage(10);
    const trace = await traceOf(t, image, [404, {}]);
    const { digest } = image.manifest;
    assert.deepEqual(await trace.manifest(digest, signal), image.blobs.get(digest));
    assert.equal(await trace.manifest(makeImage(1).manifest.digest, signal), undefined);
  });
});
