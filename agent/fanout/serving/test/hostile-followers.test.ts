import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { SharePolicy } from '../../../oci/share-policy.ts';
import { sha256 } from '../../../testing/image.ts';
import { startParent } from '../../../testing/parent-node.ts';
import { clusterKeys, makeSigningNode } from '../../../testing/signing-nodes.ts';
import type { Follower } from '../follower.ts';
import { DownloadFollowers } from '../followers.ts';

const PATIENCE = { timeout: 300_000 };
const BYTES = randomBytes(1_000_000);
const DIGEST = sha256(BYTES);
const FIELDS = { 'x-spegel-mirrored': 'true', 'peerglass-follow': '1' };
/** Counts the most that follow at once. A place that is left goes to another one, for example when a client ends. */
class CountedFollowers extends DownloadFollowers {
  most = 0;

  override admit(...request: Parameters<DownloadFollowers['admit']>): Follower | undefined {
    const follower = super.admit(...request);
    this.most = Math.max(this.most, this.count);
    return follower;
  }
}

/** One who asks a thousand times, within what an address may open at once. */
const REQUESTS = 1_000;

async function statusOf(url: string, headers: Readonly<Record<string, string>> = FIELDS) {
  const response = await fetch(url, { headers: { connection: 'close', ...headers } });
  await response.body?.cancel();
  return response.status;
}

describe('hostile followers', PATIENCE, () => {
  it('get nothing in a closed cluster without a signature', async (t) => {
    const [a, stranger] = [await makeSigningNode(clusterKeys()), await makeSigningNode([])];
    const node = await startParent(t, { identity: a });
    const download = await node.begin(DIGEST, BYTES.length);
    await download.write(BYTES);
    const url = node.url(DIGEST);
    assert.equal(await statusOf(url), 404);
    node.followers.markWrong(DIGEST);
    const response = await fetch(url, { headers: FIELDS });
    await response.body?.cancel();
    assert.equal(response.headers.get('x-peerglass-wrong'), null);

    const { pathname, search } = new URL(url);
    const target = pathname + search;
    stranger.swarmKeys = clusterKeys();
    const wrong = stranger.signer.sign(a.peerId, { method: 'GET', target, range: undefined });
    assert.equal(await statusOf(url, { ...FIELDS, ...wrong?.fields }), 401);
    assert.equal(node.followers.state(DIGEST).children, 0);
  });

  it('are served in a closed cluster when they are of it', async (t) => {
    const a = await makeSigningNode(clusterKeys());
    const b = await makeSigningNode(a.swarmKeys);
    const node = await startParent(t, { identity: a });
    const download = await node.begin(DIGEST, BYTES.length);
    await download.write(BYTES);
    const { pathname, search } = new URL(node.url(DIGEST));
    const target = pathname + search;
    const signature = b.signer.sign(a.peerId, { method: 'GET', target, range: undefined });
    const headers = { 'peerglass-follow': '1', ...signature?.fields };
    const response = await fetch(node.url(DIGEST), { headers });
    assert.equal(response.status, 200);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(BYTES));
  });

  it('get one place of a digest and of all when they open a thousand', async (t) => {
    const followers = new CountedFollowers();
    const node = await startParent(t, { followers });
    await node.begin(DIGEST, BYTES.length);
    const stop = new AbortController();
    const statuses = await Promise.all(
      Array.from({ length: REQUESTS }, async () => {
        const init = { headers: FIELDS, signal: stop.signal };
        return (await fetch(node.url(DIGEST), init)).status;
      }),
    );
    assert.ok(statuses.includes(200));
    assert.equal(followers.most, 8);
    assert.ok(statuses.every((status) => status === 200 || status === 404));
    assert.ok(node.fixture.watches.open <= 8);
    stop.abort();
  });

  it('that ask for small content a thousand times share one open file', async (t) => {
    const node = await startParent(t, { waitMs: 2_000 });
    await node.begin(DIGEST, 10);
    const statuses = await Promise.all(
      Array.from({ length: REQUESTS }, () => statusOf(node.url(DIGEST))),
    );
    assert.ok(statuses.every((status) => status === 404));
    assert.ok(node.fixture.watches.open <= 1);
  });

  it('get nothing of an image that is not shared', async (t) => {
    const policy = new SharePolicy({ filters: [/^registry\.example\/secret\//] });
    const left = sha256(Buffer.from('left out'));
    const node = await startParent(t, { policy, sharesDigest: (digest) => digest !== left });
    for (const digest of [DIGEST, left]) {
      const download = await node.begin(digest, BYTES.length);
      await download.write(BYTES);
    }
    assert.equal(await statusOf(node.url(DIGEST, 'blobs', 'secret/app')), 404);
    assert.equal(await statusOf(node.url(left)), 404);
    assert.equal(node.followers.state(left).children, 0);
    assert.equal(await statusOf(node.url(DIGEST)), 200);
  });
});
