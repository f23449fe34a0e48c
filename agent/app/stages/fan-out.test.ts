import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';

import type { RegistryConfig } from '../../config/options.ts';
import { createMetrics, type Metrics } from '../../metrics/metrics.ts';
import { DataPlane } from '../../native/data-plane.ts';
import type { Digest } from '../../oci/digest.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { parseShareRule } from '../../oci/share-rule.ts';
import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { quiet } from '../../testing/quiet.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { arbiterStage, fanOutStage, type FanOutStage } from './fan-out.ts';
import { MirrorPort, mirrorStage } from './mirror.ts';
import { transferStage } from './transfer.ts';

const PEER_IDS = [
  'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
  'QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ',
];
const SIZE = 400_000;

/** A node whose containerd is the test. */
interface Node {
  readonly peerId: string;
  readonly origin: string;
  readonly store: MemoryStore;
  readonly ingests: MemoryIngests;
  readonly fanOut: FanOutStage;
  readonly metrics: Metrics;
  url(digest: Digest, repository?: string): string;
}

async function startNode(t: TestContext, network: MemoryNetwork, peerId: string): Promise<Node> {
  const config = registryConfig({ 'hold-back-size': '64KiB', 'follow-timeout': '10s' });
  const verifiedBuffer = { size: config['hold-back-size'], memory: config['hold-back-memory'] };
  const ingests = new MemoryIngests();
  const store = new MemoryStore(ingests);
  const metrics = createMetrics();
  const dataPlane = new DataPlane({ logger: quiet }, 'stream');
  const port = new MirrorPort({ metrics }, { host: '127.0.0.1', port: 0 });
  const origin = `http://127.0.0.1:${await port.start()}`;
  t.after(() => port.stop());
  const deciding = arbiterStage(config, { store, locate: (id) => router.locate(id) });
  assert.ok(deciding);
  const { arbiter, questions } = deciding;
  const router = new MemoryRouter({ network, questions }, { peerId, origins: [origin] });
  const transfer = transferStage(
    { router, store, dataPlane, metrics, logger: quiet },
    {
      client: { userAgent: 'peerglass/test' },
      transfer: { resolveTimeout: 20, resolveRetries: 0, verifiedBuffer },
    },
  );
  const policy = new SharePolicy({ rules: [parseShareRule('registry.example/team=authorized')] });
  const fanOut = fanOutStage(config, {
    ...{ arbiter, router, store, transfer, dataPlane, policy, metrics, log: () => quiet },
  });
  t.after(async () => {
    await fanOut.stop();
    await transfer.stop();
  });
  const { peers: handler } = mirrorStage({
    store,
    remote: [fanOut.holders(transfer.source), fanOut.source],
    followed: fanOut.followed,
    policy,
    sharesDigest: () => true,
    holders: () => [],
    ...{ dataPlane, metrics, logger: quiet },
  });
  port.serve(handler);
  return {
    ...{ peerId, origin, store, ingests, fanOut, metrics },
    url: (digest, repository = 'open/app') =>
      `${origin}/v2/${repository}/blobs/${digest}?ns=registry.example`,
  };
}

async function startTwo(t: TestContext): Promise<readonly [Node, Node]> {
  const network = new MemoryNetwork();
  const [first = '', second = ''] = PEER_IDS;
  return [await startNode(t, network, first), await startNode(t, network, second)];
}

async function statusOf(url: string): Promise<number> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
}

async function valueOf(metrics: Metrics, line: string): Promise<number> {
  const text = await metrics.registry.metrics();
  const found = text.split('\n').find((it) => it.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1));
}

describe('fanOutStage', { timeout: 300_000 }, () => {
  it('has one node go upstream, and the other receive the same bytes from it meanwhile', async (t) => {
    const [a, b] = await startTwo(t);
    const bytes = randomBytes(SIZE);
    const digest = sha256(bytes);
    const fetched = a.ingests.begin(digest, SIZE);
    assert.equal(await statusOf(a.url(digest)), 404, 'containerd goes to the registry');
    fetched.write(bytes.subarray(0, 150_000));
    const copied = b.ingests.begin(digest, SIZE);
    const following = await fetch(b.url(digest));
    assert.equal(following.status, 200);
    assert.equal(following.headers.get('content-length'), String(SIZE));
    assert.ok(following.body);
    const chunks: Uint8Array[] = [];
    const received = (async () => {
      for await (const chunk of following.body as AsyncIterable<Uint8Array>) {
        chunks.push(chunk);
        copied.write(chunk);
      }
    })();

    await eventually(() => {
      const [upstream] = a.fanOut.report().downloads;
      const [follower] = b.fanOut.report().downloads;
      assert.equal(upstream?.state, 'fetching');
      assert.equal(upstream.bytes, 150_000);
      assert.deepEqual(upstream.followerAddresses, ['127.0.0.1']);
      assert.equal(follower?.state, 'following');
      assert.deepEqual([follower.from, follower.fromOrigin], [a.peerId, a.origin]);
      assert.equal(follower.repository, 'open/app');
      assert.equal(follower.bytes, 150_000);
      assert.equal(follower.sizeBytes, SIZE);
    });
    const [decided] = [...a.fanOut.report().arbiter.latest, ...b.fanOut.report().arbiter.latest];
    assert.deepEqual(
      decided?.fetchers.map(({ peerId, reason }) => [peerId, reason]),
      [[a.peerId, 'first']],
    );
    for (const { fanOut } of [a, b]) fanOut.refresh();
    assert.equal(await valueOf(a.metrics, 'peerglass_fan_out_downloads{state="fetching"}'), 1);
    assert.equal(await valueOf(a.metrics, 'peerglass_fan_out_followers'), 1);
    assert.equal(await valueOf(b.metrics, 'peerglass_fan_out_downloads{state="following"}'), 1);
    const line = 'peerglass_fan_out_decisions_total{decision="follow"}';
    assert.equal(await valueOf(b.metrics, line), 1);
    assert.equal(await valueOf(b.metrics, 'peerglass_fan_out_waits_total{outcome="served"}'), 1);

    fetched.write(bytes.subarray(150_000));
    a.store.putBlob(bytes);
    fetched.end();
    await received;
    assert.ok(Buffer.concat(chunks).equals(bytes));
    b.store.putBlob(bytes);
    copied.end();
    await eventually(() => {
      for (const { fanOut } of [a, b]) assert.deepEqual(fanOut.report().downloads, []);
    });
    const peers = 'peerglass_fan_out_bytes_total{registry="registry.example",source="peers"}';
    await eventually(async () => {
      assert.equal(await valueOf(b.metrics, peers), SIZE);
    });
  });

  it('names no image that the registry gives to those only who may have it', async (t) => {
    const [a] = await startTwo(t);
    const digest = sha256(Buffer.from('private'));
    a.ingests.begin(digest, SIZE).write(Buffer.alloc(10));
    assert.equal(await statusOf(a.url(digest, 'team/app')), 404);
    await eventually(() => {
      const report = a.fanOut.report();
      assert.equal(report.downloads.length, 1);
      assert.doesNotMatch(JSON.stringify(report), new RegExp(`team/app|${digest}`));
    });
  });

  it('lets followers go on elsewhere when the content turns out wrong', async (t) => {
    const [a, b] = await startTwo(t);
    const digest = sha256(Buffer.from('other bytes than those'));
    const fetched = a.ingests.begin(digest, SIZE);
    assert.equal(await statusOf(a.url(digest)), 404);
    fetched.write(Buffer.alloc(100_000));
    b.ingests.begin(digest, SIZE);
    const following = await fetch(b.url(digest));
    assert.equal(following.status, 200);
    const body = following.arrayBuffer();
    await eventually(() => {
      assert.equal(a.fanOut.report().downloads[0]?.followers, 1);
    });
    a.fanOut.wrong(digest);
    await assert.rejects(body);
    assert.equal(await statusOf(a.url(digest)), 404);
  });
});

describe('arbiterStage', () => {
  const store = new MemoryStore(new MemoryIngests());
  const locate = (): undefined => undefined;
  let config: RegistryConfig;
  before(() => {
    config = registryConfig({});
  });
  after(() => {
    assert.equal(config['fan-out'], true, 'is on by default');
  });

  it('makes no arbiter with --fan-out=false, or for a store without unfinished downloads', () => {
    assert.notEqual(arbiterStage(config, { store, locate }), undefined);
    assert.equal(arbiterStage({ ...config, 'fan-out': false }, { store, locate }), undefined);
    assert.equal(arbiterStage(config, { store: new MemoryStore(), locate }), undefined);
  });

  for (const [option, fetchers] of [
    ['1', 1],
    ['2', 2],
    ['zone', 3],
  ] as const) {
    it(`has as many nodes go upstream as --upstream-fetchers ${option} says`, () => {
      const made = arbiterStage({ ...config, 'upstream-fetchers': option }, { store, locate });
      assert.ok(made);
      const digest = sha256(Buffer.from(option));
      const kinds = ['a', 'b', 'c', 'd'].map((peerId, index) =>
        made.arbiter.answer(
          { peerId, origins: [] },
          {
            ...{ digest, state: 'wants', offset: 0, failed: [], canFetch: true, children: 0 },
            ...{ isRoomy: true, zone: `zone-${Math.min(index, 2)}` },
          },
        ),
      );
      assert.equal(kinds.filter(({ kind }) => kind === 'fetch').length, fetchers);
    });
  }
});
