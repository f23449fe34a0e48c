import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import type { Provider } from '../../routing/router.ts';
import { STALE, startCrowd } from '../../testing/crowd.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  KnownRouter,
  providerOf,
  startMirror,
  type MirrorNode,
  type MirrorNodeInit,
} from '../../testing/mirror-node.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';

/** Longer than a test may take, so that this time-out is never what helps. */
const NEVER = 600_000;
const PATIENCE = { timeout: 300_000 };

const SIZE = 6_000_000;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
const path = `/v2/team/app/blobs/${digest}`;
const fullHead = responseHead(200, { 'content-length': SIZE, 'docker-content-digest': digest });

interface Holder extends MirrorNode {
  readonly provider: Provider;
}

/** Starts nodes that hold the image, on the stack of the test. */
async function startHolders(
  resources: AsyncDisposableStack,
  ...inits: readonly MirrorNodeInit[]
): Promise<Holder[]> {
  return await Promise.all(
    inits.map(async (init, index) => {
      const node = resources.use(await startMirror(init));
      putImage(node.store, image, 'registry.example/team/app:1.0');
      return Object.assign(node, { provider: providerOf(`holder ${index}`, node) });
    }),
  );
}

/** Pulls the blob, or a range of it, and returns the origin that it came from. */
async function pull(node: MirrorNode, range?: readonly [number, number]): Promise<string> {
  const headers: Record<string, string> = range ? { range: `bytes=${range[0]}-${range[1]}` } : {};
  const response = await fetch(`${node.origin}${path}`, { headers });
  assert.equal(response.status, range === undefined ? 200 : 206);
  const [start, end] = range ?? [0, SIZE - 1];
  const body = Buffer.from(await response.arrayBuffer());
  assert.ok(body.equals(bytes.subarray(start, end + 1)));
  return response.headers.get('x-peerglass-source') ?? '';
}

function countBy(sources: readonly string[]): number[] {
  const counts = new Map<string, number>();
  for (const source of sources) counts.set(source, (counts.get(source) ?? 0) + 1);
  return [...counts.values()];
}

async function metric(node: MirrorNode, line: string): Promise<void> {
  const text = await node.metrics.registry.metrics();
  assert.ok(text.includes(line), `$XX${text.match(/^peerglass_.*\} .*$/gm)?.join('\n')}`);
}

describe('the choice between equal holders', PATIENCE, () => {
  it('spreads 30 requests of one node at once over all holders', async () => {
    await using resources = new AsyncDisposableStack();
    const holders = await startHolders(resources, {}, {}, {});
    const router = new KnownRouter(holders.map(({ provider }) => provider));
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    const sources = await Promise.all(Array.from({ length: 30 }, () => pull(node, [0, 599_999])));
    const counts = countBy(sources);
    assert.equal(counts.length, 3);
    assert.ok(Math.max(...counts) <= 16, counts.join());
  });

  it('spreads one request each of 30 independent nodes over all holders', async () => {
    await using resources = new AsyncDisposableStack();
    const holders = await startHolders(resources, {}, {}, {});
    const router = new KnownRouter(holders.map(({ provider }) => provider));
    const sources: string[] = [];
    for (let index = 0; index < 30; index++) {
      const node = resources.use(await startMirror({ router, firstByteBudget: NEVER }));
      sources.push(await pull(node, [0, 9]));
    }
    // In one of 60,000 runs one of three is not drawn in thirty times.
    assert.equal(countBy(sources).length, 3);
  });

  it('spreads the ranges that one client fetches at the same time over all holders', async () => {
    await using resources = new AsyncDisposableStack();
    const holders = await startHolders(resources, {}, {});
    const router = new KnownRouter(holders.map(({ provider }) => provider));
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    const length = SIZE / 8;
    const sources = await Promise.all(
      Array.from({ length: 8 }, (_, part) => pull(node, [part * length, (part + 1) * length - 1])),
    );
    // Four of each, or a little less evenly where some have ended before others begin.
    const counts = countBy(sources);
    assert.equal(counts.length, 2);
    assert.ok(Math.max(...counts) <= 6, counts.join());
  });
});

describe('a node with a zone', PATIENCE, () => {
  it('learns the zones from answers, and then asks the holder in its own zone', async () => {
    await using resources = new AsyncDisposableStack();
    const zones = ['far', 'near', 'farther', 'far'];
    const holders = await startHolders(resources, ...zones.map((zone) => ({ uploads: { zone } })));
    const router = new KnownRouter(holders.map(({ provider }) => provider));
    await using node = await startMirror({ router, zone: 'near', firstByteBudget: NEVER });
    const near = holders[1]?.origin;
    // A peer that was late, as on a busy machine, is asked after the others for ten seconds.
    await eventually(async () => {
      const sources = new Set<string>();
      for (let round = 0; round < 10; round++) sources.add(await pull(node, [0, 9]));
      assert.deepEqual([...sources], [near]);
    });
  });

  it('asks a holder in another zone when the one in its own zone is busy', async () => {
    await using resources = new AsyncDisposableStack();
    const [near, far] = (await startHolders(
      resources,
      { uploads: { zone: 'near', max: 1 } },
      { uploads: { zone: 'far' } },
    )) as [Holder, Holder];
    const router = new KnownRouter([near.provider, far.provider]);
    await using node = await startMirror({ router, zone: 'near', firstByteBudget: NEVER });
    for (let round = 0; round < 2; round++) await pull(node, [0, 9]);
    const slot = await occupy(near);
    assert.equal(await pull(node), far.origin);
    await slot.cancel();
    await eventually(async () => {
      assert.equal(await pull(node, [0, 9]), near.origin);
    });
  });
});

/** Occupies an upload slot of the node, as a peer that reads slowly does. */
async function occupy(node: MirrorNode): Promise<{ cancel(): Promise<void> }> {
  const large = makeImage(64 * 1024 * 1024);
  const [layer = ''] = large.layers;
  putImage(node.store, large);
  const response = await fetch(`${node.origin}/v2/team/app/blobs/${layer}`, {
    headers: { 'x-spegel-mirrored': 'true' },
  });
  assert.equal(response.status, 200);
  return { cancel: async () => response.body?.cancel() };
}

describe('a busy holder', PATIENCE, () => {
  it('refuses, and is neither counted as failed nor forgotten', async () => {
    await using resources = new AsyncDisposableStack();
    const [busy, free] = (await startHolders(resources, { uploads: { max: 1 } }, {})) as [
      Holder,
      Holder,
    ];
    const slot = await occupy(busy);
    const router = new FixedRouter(busy.provider, free.provider);
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    assert.equal(await pull(node), free.origin);
    await metric(busy, 'peerglass_uploads_refused_total{reason="node"} 1');
    await metric(node, 'peerglass_peer_failures_total{reason="busy"} 1');
    assert.deepEqual(router.forgotten, []);
    await slot.cancel();
  });

  it('is asked again while all holders are busy, until one is free', async () => {
    await using resources = new AsyncDisposableStack();
    const holders = (await startHolders(
      resources,
      { uploads: { max: 1 } },
      { uploads: { max: 1 } },
    )) as [Holder, Holder];
    const slots = await Promise.all(holders.map(occupy));
    const router = new KnownRouter(holders.map(({ provider }) => provider));
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    const pulled = pull(node);
    await eventually(async () => {
      const text = await node.metrics.registry.metrics();
      const [, busy] = /peerglass_peer_failures_total\{reason="busy"\} (\d+)/.exec(text) ?? [];
      assert.ok(Number(busy) > 2, 'both are busy, and one of them is asked a second time');
    });
    await slots[1]?.cancel();
    assert.equal(await pulled, holders[1].origin);
    await slots[0]?.cancel();
  });

  it('is asked again although another peer hangs', async () => {
    await using resources = new AsyncDisposableStack();
    await using hanging = await startRogue(STALE.hangs);
    const [busy] = (await startHolders(resources, { uploads: { max: 1 } })) as [Holder];
    const slot = await occupy(busy);
    const router = new FixedRouter(providerOf('hanging', hanging), busy.provider);
    await using node = await startMirror({ router, headTimeout: NEVER, firstByteBudget: NEVER });
    const pulled = pull(node);
    await eventually(() => metric(node, 'peerglass_peer_failures_total{reason="busy"} '));
    await slot.cancel();
    assert.equal(await pulled, busy.origin);
    assert.equal(hanging.requests.length, 1);
  });

  it('is not waited for when content routing names a new holder meanwhile', async () => {
    await using resources = new AsyncDisposableStack();
    const [busy, late] = (await startHolders(resources, { uploads: { max: 1 } }, {})) as [
      Holder,
      Holder,
    ];
    const slot = await occupy(busy);
    let lookups = 0;
    const router = {
      async *lookup(): AsyncGenerator<Provider> {
        lookups += 1;
        await Promise.resolve();
        yield busy.provider;
        if (lookups > 2) yield late.provider;
      },
      forget: () => undefined,
    };
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    assert.equal(await pull(node), late.origin);
    await slot.cancel();
  });

  it('leads to 404 within the first-byte budget when it stays busy, and the reason is counted', async () => {
    await using resources = new AsyncDisposableStack();
    const [busy] = (await startHolders(resources, { uploads: { max: 1 } })) as [Holder];
    const slot = await occupy(busy);
    const router = new KnownRouter([busy.provider]);
    await using node = await startMirror({ router, firstByteBudget: 300 });
    const response = await fetch(`${node.origin}${path}`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
    await metric(node, 'peerglass_fall_throughs_total{reason="providers-busy"} 1');
    await slot.cancel();
  });

  it('names other holders, and those known to content routing are asked', async () => {
    await using resources = new AsyncDisposableStack();
    const names = ['AnotherPeer1', 'StrangerPeer1'];
    const [busy, other] = (await startHolders(
      resources,
      { uploads: { max: 1 }, holders: names },
      {},
    )) as [Holder, Holder];
    const slot = await occupy(busy);
    const router = new KnownRouter([busy.provider], [providerOf('AnotherPeer1', other)]);
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    assert.equal(await pull(node), other.origin);
    await slot.cancel();
  });

  it('cannot send the node to an address of its choice', async () => {
    await using victim = await startRogue(STALE.notFound);
    await using busy = await startRogue((socket) => {
      const alternatives = `${victim.origin}, AnotherPeer1`;
      const headers = { 'retry-after': 1, 'x-peerglass-alternatives': alternatives };
      socket.write(responseHead(503, { ...headers, 'content-length': 0 }));
    });
    const router = new KnownRouter([providerOf('busy', busy)], [providerOf('victim', victim)]);
    await using node = await startMirror({ router, firstByteBudget: 300 });
    const response = await fetch(`${node.origin}${path}`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
    assert.equal(victim.accepted, 0);
    assert.ok(busy.requests.length > 1 && busy.requests.length < 20);
  });
});

describe('a late first byte', PATIENCE, () => {
  it('triggers a hedge, and the loser is cancelled', async () => {
    await using late = await startRogue(STALE.hangs);
    await using resources = new AsyncDisposableStack();
    const [good] = (await startHolders(resources, {})) as [Holder];
    const router = new FixedRouter(providerOf('late', late), good.provider);
    const bounds = { headTimeout: NEVER, firstByteBudget: NEVER };
    await using node = await startMirror({ router, ...bounds });
    assert.equal(await pull(node), good.origin);
    await metric(node, 'peerglass_hedges_total{result="won"} 1');
    await eventually(() => {
      assert.equal(late.open, 0);
    });
  });

  it('is accepted when the hedge finds nothing', async () => {
    let release: () => void = () => undefined;
    await using late = await startRogue((socket) => {
      release = (): void => {
        socket.write(fullHead);
        socket.write(bytes);
      };
    });
    await using stale = await startCrowd(1, STALE.notFound);
    const router = new FixedRouter(providerOf('late', late), ...stale.providers);
    const bounds = { headTimeout: NEVER, firstByteBudget: NEVER };
    await using node = await startMirror({ router, ...bounds });
    const pulled = pull(node);
    await eventually(() => {
      assert.equal(stale.requests.length, 1);
    });
    release();
    assert.equal(await pulled, late.origin);
    await metric(node, 'peerglass_hedges_total{result="lost"} 1');
  });
});

describe('a peer that has just failed for a digest', PATIENCE, () => {
  it('is not asked for it while another peer has it, and is asked for other digests', async () => {
    const other = makeImage(SIZE);
    const [otherDigest] = other.layers as [Digest];
    await using broken = await startRogue((socket) => {
      socket.write(responseHead(500, { 'content-length': 0 }));
    });
    await using resources = new AsyncDisposableStack();
    const [good] = (await startHolders(resources, {})) as [Holder];
    putImage(good.store, other);
    const router = new KnownRouter([providerOf('broken', broken), good.provider]);
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    // Both may be drawn first.
    for (let round = 0; broken.requests.length === 0; round++) {
      assert.ok(round < 60);
      await pull(node, [0, 9]);
    }
    for (let round = 0; round < 20; round++) await pull(node, [0, 9]);
    assert.equal(broken.requests.length, 1);
    await eventually(async () => {
      const response = await fetch(`${node.origin}/v2/team/app/blobs/${otherDigest}`);
      await response.body?.cancel();
      assert.equal(broken.requests.length, 2);
    });
  });
});

describe('a body that breaks', PATIENCE, () => {
  it('continues from a holder that appears after no other peer was left', async () => {
    await using resources = new AsyncDisposableStack();
    const [late] = (await startHolders(resources, {})) as [Holder];
    await using rogue = await startRogue((socket) => {
      socket.write(fullHead);
      socket.end(bytes.subarray(0, 3_000_000));
    });
    let lookups = 0;
    const router = {
      async *lookup(): AsyncGenerator<Provider> {
        lookups += 1;
        await Promise.resolve();
        yield lookups < 4 ? providerOf('rogue', rogue) : late.provider;
      },
      forget: () => undefined,
    };
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    await pull(node);
    assert.equal(lookups, 4);
    await metric(node, 'peerglass_resumes_total{result="resumed"} ');
  });

  it('continues when the next holder is busy at first', async () => {
    await using resources = new AsyncDisposableStack();
    const [busy] = (await startHolders(resources, { uploads: { max: 1 } })) as [Holder];
    const slot = await occupy(busy);
    await using rogue = await startRogue((socket) => {
      socket.write(fullHead);
      socket.end(bytes.subarray(0, 3_000_000));
    });
    const router = new FixedRouter(providerOf('rogue', rogue), busy.provider);
    await using node = await startMirror({ router, firstByteBudget: NEVER });
    const pulled = pull(node);
    await eventually(() => metric(node, 'peerglass_peer_failures_total{reason="busy"} '));
    await slot.cancel();
    await pulled;
  });
});

describe('a client gets neither 408 nor 429,', PATIENCE, () => {
  const statuses = [400, 401, 403, 404, 408, 416, 425, 429, 500, 502, 503, 504];
  for (const retryAfter of [{}, { 'retry-after': 1 }]) {
    it(`whatever peers answer${'retry-after' in retryAfter ? ' with Retry-After' : ''}`, async () => {
      for (const status of statuses) {
        for (const [kind, method] of [
          ['blobs', 'GET'],
          ['manifests', 'GET'],
          ['blobs', 'HEAD'],
        ] as const) {
          await using rogue = await startRogue((socket) => {
            socket.write(responseHead(status, { ...retryAfter, 'content-length': 0 }));
          });
          const router = new KnownRouter([providerOf('rogue', rogue)]);
          await using node = await startMirror({ router, firstByteBudget: 100 });
          const url = `${node.origin}/v2/team/app/${kind}/${digest}`;
          const response = await fetch(url, { method });
          assert.equal(response.status, 404, `${method} of ${kind} after ${status}`);
          assert.equal(response.headers.get('retry-after'), null);
          await response.body?.cancel();
        }
      }
    });
  }
});

describe('a download limit', PATIENCE, () => {
  it('delays large bodies without changing them, and does not delay small ones', async () => {
    await using resources = new AsyncDisposableStack();
    const [holder] = (await startHolders(resources, {})) as [Holder];
    const router = new KnownRouter([holder.provider]);
    await using node = await startMirror({ router, downloadLimit: 12_000_000 });
    const start = performance.now();
    await pull(node);
    // 6 MB without the burst of 0.1 s and one chunk of debt: a lower bound that holds under any load.
    assert.ok(performance.now() - start > 200);
    const manifest = `${node.origin}/v2/team/app/manifests/${image.manifest.digest}`;
    const response = await fetch(manifest);
    assert.equal(response.status, 200);
    await response.body?.cancel();
  });
});
