import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../oci/digest.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage } from '../testing/image.ts';
import { startMirror, type MirrorNode } from '../testing/mirror-node.ts';

const PATIENCE = { timeout: 60_000 };
/** More than sockets buffer, so that a body which nobody reads stays in progress. */
const LARGE = 64 * 1024 * 1024;

const image = makeImage(LARGE, 1000);
const [large, small] = image.layers as [Digest, Digest];

type Ask = (path: string, method?: string) => Promise<Response>;

/** Asks the node as a peer does, and as its own containerd. */
function askers(node: MirrorNode): { peer: Ask; own: Ask } {
  const ask =
    (headers: Record<string, string>): Ask =>
    (path, method = 'GET') =>
      fetch(`${node.origin}/v2/team/app/${path}`, { method, headers });
  return { peer: ask({ 'x-spegel-mirrored': 'true' }), own: ask({}) };
}

describe('what is sent to peers', PATIENCE, () => {
  it('is bounded: who comes beyond it hears 503 with a reason, and may come back', async () => {
    await using node = await startMirror({ uploads: { max: 2 } });
    putImage(node.store, image);
    const { peer } = askers(node);
    const [one, two] = [await peer(`blobs/${large}`), await peer(`blobs/${large}`)];
    assert.deepEqual([one.status, two.status], [200, 200]);
    assert.equal(two.headers.get('x-peerglass-load'), '2/2');
    const refused = await peer(`blobs/${small}`);
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('retry-after'), '1');
    assert.equal(refused.headers.get('x-peerglass-load'), '2/2');
    const { errors } = (await refused.json()) as { errors: { code: string }[] };
    assert.equal(errors[0]?.code, 'UNAVAILABLE');
    await one.body?.cancel();
    await eventually(async () => {
      const again = await peer(`blobs/${small}`);
      assert.equal(again.status, 200);
      await again.body?.cancel();
    });
    await two.body?.cancel();
  });

  it('is bounded for each blob, and other blobs pass', async () => {
    await using node = await startMirror({ uploads: { maxPerBlob: 1 } });
    putImage(node.store, image);
    const { peer } = askers(node);
    const one = await peer(`blobs/${large}`);
    const refused = await peer(`blobs/${large}`);
    assert.equal(refused.status, 503);
    await refused.body?.cancel();
    const other = await peer(`blobs/${small}`);
    assert.equal(other.status, 200);
    await other.body?.cancel();
    const metrics = await node.metrics.registry.metrics();
    assert.match(metrics, /peerglass_uploads_refused_total\{reason="blob"\} 1/);
    assert.match(metrics, /peerglass_uploads_inflight 1/);
    await one.body?.cancel();
    await eventually(async () => {
      assert.match(await node.metrics.registry.metrics(), /peerglass_uploads_inflight 0/);
    });
  });

  it('is refused neither to the own containerd, nor when it is a manifest or a HEAD', async () => {
    await using node = await startMirror({ uploads: { max: 1 } });
    putImage(node.store, image);
    const { peer, own } = askers(node);
    const one = await peer(`blobs/${large}`);
    for (const response of [
      await own(`blobs/${small}`),
      await own(`blobs/${large}`),
      await peer(`manifests/${image.manifest.digest}`),
      await peer(`blobs/${large}`, 'HEAD'),
    ]) {
      assert.equal(response.status, 200, response.url);
      await response.body?.cancel();
    }
    await one.body?.cancel();
  });

  it('says 404 and not 503 of what is not held, however busy it is', async () => {
    await using node = await startMirror({ uploads: { max: 1 } });
    putImage(node.store, image);
    const { peer } = askers(node);
    const one = await peer(`blobs/${large}`);
    const response = await peer(`blobs/sha256:${'0'.repeat(64)}`);
    assert.equal(response.status, 404);
    assert.equal(response.headers.get('retry-after'), null);
    await response.body?.cancel();
    await one.body?.cancel();
  });

  it('comes with load and zone, which only peers are told', async () => {
    await using node = await startMirror({ uploads: { max: 7, zone: 'a' } });
    putImage(node.store, image);
    const { peer, own } = askers(node);
    for (const path of [`blobs/${small}`, `blobs/sha256:${'0'.repeat(64)}`]) {
      const told = await peer(path);
      assert.match(told.headers.get('x-peerglass-load') ?? '', /^[01]\/7$/);
      assert.equal(told.headers.get('x-peerglass-zone'), 'a');
      await told.body?.cancel();
      const untold = await own(path);
      assert.equal(untold.headers.get('x-peerglass-load'), null);
      assert.equal(untold.headers.get('x-peerglass-zone'), null);
      await untold.body?.cancel();
    }
  });

  it('is refused with at most eight others to ask, which are not always the same', async () => {
    const holders = Array.from({ length: 30 }, (_, index) => `PeerNumber${index + 11}`);
    await using node = await startMirror({ uploads: { max: 1 }, holders });
    putImage(node.store, image);
    const { peer } = askers(node);
    const one = await peer(`blobs/${large}`);
    const named = new Set<string>();
    for (let round = 0; round < 20; round++) {
      const refused = await peer(`blobs/${large}`);
      const names = (refused.headers.get('x-peerglass-alternatives') ?? '').split(', ');
      assert.equal(names.length, 8);
      for (const name of names) named.add(name);
      await refused.body?.cancel();
    }
    assert.ok(named.size > 8 && named.isSubsetOf(new Set(holders)));
    await one.body?.cancel();
  });
});

describe('a limit on what is sent to peers', PATIENCE, () => {
  it('holds blobs up, and neither manifests nor the own containerd', async () => {
    // So little that a blob would take hours.
    await using node = await startMirror({ uploads: { limit: 1 } });
    putImage(node.store, image);
    const { peer, own } = askers(node);
    const local = await own(`blobs/${large}`);
    assert.equal((await local.arrayBuffer()).byteLength, LARGE);
    const manifest = await peer(`manifests/${image.manifest.digest}`);
    assert.equal((await manifest.arrayBuffer()).byteLength, image.manifest.size);
    const client = new AbortController();
    const held = fetch(`${node.origin}/v2/team/app/blobs/${small}`, {
      headers: { 'x-spegel-mirrored': 'true' },
      signal: client.signal,
    }).then((response) => response.arrayBuffer());
    await eventually(async () => {
      assert.match(await node.metrics.registry.metrics(), /peerglass_uploads_inflight 1/);
    });
    // The containerd of this node is served in full again, and the peer still waits.
    await (await own(`blobs/${large}`)).arrayBuffer();
    assert.equal(await Promise.race([held, Promise.resolve('waits')]), 'waits');
    client.abort();
    await assert.rejects(held);
    await eventually(async () => {
      assert.match(await node.metrics.registry.metrics(), /peerglass_uploads_inflight 0/);
    });
  });

  it('changes nothing of the bytes, and bounds the bodies to what it can feed', async () => {
    const limit = 16 * 1024 * 1024;
    await using node = await startMirror({ uploads: { limit, max: 100 } });
    const part = makeImage(3_000_000);
    putImage(node.store, part);
    const [layer] = part.layers as [Digest];
    const start = performance.now();
    const response = await askers(node).peer(`blobs/${layer}`);
    assert.equal(response.headers.get('x-peerglass-load'), '1/32');
    const body = Buffer.from(await response.arrayBuffer());
    assert.ok(body.equals(part.blobs.get(layer) ?? Buffer.alloc(0)));
    // 3 MB less the burst of 0.1 s: a lower bound, which no load makes wrong.
    assert.ok(performance.now() - start > 60);
  });
});
