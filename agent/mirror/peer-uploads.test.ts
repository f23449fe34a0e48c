import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { createMetrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror, type MirrorNode } from '../testing/mirror-node.ts';
import { responseHead, startRogue } from '../testing/rogue-peer.ts';
import { PeerUploads, type Asker } from './peer-uploads.ts';

const PATIENCE = { timeout: 300_000 };
/** More than sockets buffer, so that a body without a reader stays in progress. */
const LARGE = 64 * 1024 * 1024;

const image = makeImage(LARGE, 1000);
const [large, small] = image.layers as [Digest, Digest];

type Ask = (path: string, method?: string) => Promise<Response>;

/** Sends requests as a peer, and as the local containerd. */
function askers(node: MirrorNode): { peer: Ask; local: Ask } {
  const ask =
    (headers: Record<string, string>): Ask =>
    (path, method = 'GET') =>
      fetch(`${node.origin}/v2/team/app/${path}`, { method, headers });
  return { peer: ask({ 'x-spegel-mirrored': 'true' }), local: ask({}) };
}

describe('PeerUploads', PATIENCE, () => {
  it('refuses a peer beyond --max-uploads with 503, and serves it later', async () => {
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

  it('refuses a blob beyond --max-uploads-per-blob with 503, and sends other blobs', async () => {
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

  it('refuses neither the local containerd, nor a manifest, nor a HEAD', async () => {
    await using node = await startMirror({ uploads: { max: 1 } });
    putImage(node.store, image);
    const { peer, local } = askers(node);
    const one = await peer(`blobs/${large}`);
    for (const response of [
      await local(`blobs/${small}`),
      await local(`blobs/${large}`),
      await peer(`manifests/${image.manifest.digest}`),
      await peer(`blobs/${large}`, 'HEAD'),
    ]) {
      assert.equal(response.status, 200, response.url);
      await response.body?.cancel();
    }
    await one.body?.cancel();
  });

  it('answers 404 for a blob that the node does not hold, also beyond the bounds', async () => {
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

  it('reports load and zone to peers only', async () => {
    await using node = await startMirror({ uploads: { max: 7, zone: 'a' } });
    putImage(node.store, image);
    const { peer, local } = askers(node);
    for (const path of [`blobs/${small}`, `blobs/sha256:${'0'.repeat(64)}`]) {
      const toPeer = await peer(path);
      assert.match(toPeer.headers.get('x-peerglass-load') ?? '', /^[01]\/7$/);
      assert.equal(toPeer.headers.get('x-peerglass-zone'), 'a');
      await toPeer.body?.cancel();
      const toClient = await local(path);
      assert.equal(toClient.headers.get('x-peerglass-load'), null);
      assert.equal(toClient.headers.get('x-peerglass-zone'), null);
      await toClient.body?.cancel();
    }
  });

  it('names at most eight other holders to a refused peer, chosen at random', async () => {
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

describe('PeerUploads, for clients of other hosts that do not say to be peers', PATIENCE, () => {
  const isLocal = (): boolean => false;

  it('refuses them beyond the bounds, when no upload ended in a while', async () => {
    await using node = await startMirror({ uploads: { max: 1 }, isLocal });
    putImage(node.store, image);
    const { peer, local } = askers(node);
    const one = await local(`blobs/${large}`);
    assert.equal(one.headers.get('x-peerglass-load'), null);
    assert.equal((await peer(`blobs/${small}`)).status, 503);
    assert.equal((await local(`blobs/${small}`)).status, 503);
    const waiting = local(`blobs/${small}`);
    await one.body?.cancel();
    assert.equal((await (await waiting).arrayBuffer()).byteLength, 1000);
  });

  it('gives up the body that a peer has begun for a refused client', async () => {
    // Nothing else ends the body during this test.
    const stallTimeout = 60_000;
    const begun = image.blobs.get(large)?.subarray(0, 1_000_000) ?? '';
    await using holder = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': LARGE }));
      socket.write(begun);
    });
    const router = new FixedRouter(providerOf('holder', holder));
    await using node = await startMirror({ uploads: { max: 1 }, isLocal, router, stallTimeout });
    const { local } = askers(node);
    const one = await local(`blobs/${large}`);
    assert.equal(one.status, 200);
    assert.equal((await local(`blobs/${large}`)).status, 503);
    assert.equal(holder.requests.length, 2);
    await eventually(() => {
      assert.equal(holder.open, 1);
    });
    await one.body?.cancel();
  });

  it('sends to them at the limited rate', async () => {
    // So little that a blob would take hours.
    await using node = await startMirror({ uploads: { limit: 1 }, isLocal });
    putImage(node.store, image);
    const client = new AbortController();
    const url = `${node.origin}/v2/team/app/blobs/${large}`;
    const whole = fetch(url, { signal: client.signal }).then((response) => response.arrayBuffer());
    await eventually(async () => {
      assert.match(await node.metrics.registry.metrics(), /peerglass_uploads_inflight 1/);
    });
    assert.equal(await Promise.race([whole, delay(200, 'waits')]), 'waits');
    client.abort();
    await assert.rejects(whole);
  });

  it('leaves uploads to other addresses, however many one asks for', async () => {
    await using node = await startMirror({ uploads: { max: 6, maxPerBlob: 3 }, isLocal });
    const other = makeImage(LARGE);
    putImage(node.store, image);
    putImage(node.store, other);
    const [second] = other.layers as [Digest];
    const { peer } = askers(node);
    // A response that is not referenced would be cancelled.
    const open: Response[] = [];
    const statusOf = async (digest: Digest): Promise<number> => {
      const response = await peer(`blobs/${digest}`);
      open.push(response);
      return response.status;
    };
    // Two of three of a blob, and four of six in all.
    assert.deepEqual([await statusOf(large), await statusOf(large)], [200, 200]);
    assert.equal(await statusOf(large), 503);
    assert.deepEqual([await statusOf(second), await statusOf(second)], [200, 200]);
    assert.equal(await statusOf(small), 503);
    assert.match(
      await node.metrics.registry.metrics(),
      /peerglass_uploads_refused_total\{reason="address"\} 2/,
    );
    const elsewhere = connect({
      ...{ port: Number(new URL(node.origin).port), host: '127.0.0.1' },
      localAddress: '127.0.0.2',
    });
    elsewhere.write(
      `GET /v2/a/blobs/${large} HTTP/1.1\r\nhost: x\r\nx-spegel-mirrored: true\r\n\r\n`,
    );
    const [head] = (await once(elsewhere, 'data')) as [Buffer];
    assert.match(head.toString('latin1'), /^HTTP\/1.1 200 /);
    elsewhere.destroy();
    for (const { body } of open) await body?.cancel();
  });
});

describe('PeerUploads with --upload-limit', PATIENCE, () => {
  it('delays blobs, and neither manifests nor the local containerd', async () => {
    // So little that a blob would take hours.
    await using node = await startMirror({ uploads: { limit: 1 } });
    putImage(node.store, image);
    const { peer, local } = askers(node);
    const whole = await local(`blobs/${large}`);
    assert.equal((await whole.arrayBuffer()).byteLength, LARGE);
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
    // The local containerd gets the blob again, and the peer still waits.
    await (await local(`blobs/${large}`)).arrayBuffer();
    assert.equal(await Promise.race([held, Promise.resolve('waits')]), 'waits');
    client.abort();
    await assert.rejects(held);
    await eventually(async () => {
      assert.match(await node.metrics.registry.metrics(), /peerglass_uploads_inflight 0/);
    });
  });

  it('does not change the bytes, and bounds the bodies to what the rate can feed', async () => {
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

describe('PeerUploads of two listeners', () => {
  const metrics = createMetrics();
  const isLocal = (): boolean => false;
  const asker = {
    res: { req: { socket: { remoteAddress: '10.0.0.1' } }, setHeader: () => undefined },
    fromPeer: true,
  } as unknown as Asker;
  const { signal } = new AbortController();

  it('count their own bodies', async () => {
    const peers = new PeerUploads({ metrics, isLocal }, { max: 1 });
    const node = new PeerUploads({ metrics, isLocal, sharesRateWith: peers }, { max: 1 });
    using one = await node.begin(large, asker, signal);
    using other = await peers.begin(large, asker, signal);
    assert.deepEqual([one.pace, other.pace], [undefined, undefined]);
    await assert.rejects(peers.begin(large, asker, signal), /too many transfers/);
    await assert.rejects(node.begin(large, asker, signal), /too many transfers/);
  });

  it('share the rate', async () => {
    const limit = 1024 * 1024;
    const peers = new PeerUploads({ metrics, isLocal }, { limit });
    const node = new PeerUploads({ metrics, isLocal, sharesRateWith: peers }, { limit });
    using body = await node.begin(large, asker, signal);
    assert.ok(body.pace !== undefined);
    // Hours of the rate, as the other listener has sent them.
    peers.charge(limit * 10_000);
    const client = new AbortController();
    const sent = body.pace(
      [Buffer.alloc(limit)] as unknown as AsyncIterable<Buffer>,
      client.signal,
    );
    const first = sent[Symbol.asyncIterator]().next();
    assert.equal(await Promise.race([first, delay(100, 'waits')]), 'waits');
    client.abort();
    await assert.rejects(first);
  });
});
