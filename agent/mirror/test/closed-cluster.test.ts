import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { namedByOthers } from '../../routing/lookup/named-provider.ts';
import { makeImage } from '../../testing/image.ts';
import {
  FixedRouter,
  startMirror,
  type MirrorNode,
  type MirrorNodeInit,
} from '../../testing/mirror-node.ts';
import { exchange } from '../../testing/raw-http.ts';
import { startRogue } from '../../testing/rogue-peer.ts';
import { clusterKeys, makeSigningNode, type SigningNode } from '../../testing/signing-nodes.ts';
import { testTls } from '../../testing/test-tls.ts';

const image = makeImage(3_000_000);
const [layer = ''] = image.layers;
const PATHS = [
  `/v2/team/app/manifests/${image.manifest.digest}?ns=registry.example`,
  `/v2/team/app/blobs/${layer}?ns=registry.example`,
];
/** No client is on this node, so that each client of a test is one from elsewhere. */
const isLocal = (): boolean => false;

async function startHolder(identity: SigningNode, init: MirrorNodeInit = {}): Promise<MirrorNode> {
  const holder = await startMirror({ identity, isLocal, ...init });
  for (const [digest, bytes] of image.blobs) holder.store.putBlob(bytes, digest);
  return holder;
}

/** What a client of this node gets, for manifest and layer. */
async function pull({ origin }: MirrorNode): Promise<number[]> {
  const statuses: number[] = [];
  for (const path of PATHS) {
    const response = await fetch(origin + path, { headers: { connection: 'close' } });
    const bytes = Buffer.from(await response.arrayBuffer());
    if (response.status === 200) {
      assert.ok([...image.blobs.values()].some((blob) => blob.equals(bytes)));
    }
    statuses.push(response.status);
  }
  return statuses;
}

async function failures({ metrics }: MirrorNode): Promise<unknown> {
  const { values } = await metrics.peerFailures.get();
  return Object.fromEntries(
    values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.reason, value]),
  );
}

describe('a closed cluster', { skip: testTls !== undefined && 'plain HTTP only' }, () => {
  it('serves its nodes, whose clients need nothing', async () => {
    const [a, b] = [await makeSigningNode(clusterKeys()), await makeSigningNode([])];
    b.swarmKeys = a.swarmKeys;
    await using holder = await startHolder(a);
    const router = new FixedRouter({ peerId: a.peerId, origins: [holder.origin] });
    await using asker = await startMirror({ identity: b, router });
    assert.deepEqual(await pull(asker), [200, 200]);
    assert.deepEqual(await failures(asker), {});
    assert.deepEqual(holder.refusals, []);
  });

  it('gives nothing to clients from elsewhere, whatever their request says', async () => {
    await using holder = await startHolder(await makeSigningNode(clusterKeys()));
    for (const headers of [{}, { 'x-spegel-mirrored': 'true' }]) {
      for (const path of PATHS) {
        const response = await fetch(holder.origin + path, { headers });
        assert.equal(response.status, 404);
        assert.match(await response.text(), /not signed by a node of the cluster/);
      }
    }
    assert.deepEqual(holder.refusals, ['unsigned', 'unsigned', 'unsigned', 'unsigned']);
  });

  it('gives nothing to a node with another swarm key', async () => {
    const a = await makeSigningNode(clusterKeys());
    await using holder = await startHolder(a);
    const router = new FixedRouter({ peerId: a.peerId, origins: [holder.origin] });
    await using asker = await startMirror({
      identity: await makeSigningNode(clusterKeys()),
      router,
    });
    assert.deepEqual(await pull(asker), [404, 404]);
    assert.ok(holder.refusals.length > 0);
    assert.ok(holder.refusals.every((reason) => reason === 'signature'));
  });

  it('serves a node whose clock is an hour off', async () => {
    const a = await makeSigningNode(clusterKeys());
    const b = await makeSigningNode(a.swarmKeys);
    b.ahead = 3_600;
    await using holder = await startHolder(a);
    const router = new FixedRouter({ peerId: a.peerId, origins: [holder.origin] });
    await using asker = await startMirror({ identity: b, router });
    assert.deepEqual(await pull(asker), [200, 200]);
    assert.deepEqual(holder.refusals, ['stale']);
  });

  it('believes no other node at the address of one, and forgets that it is there', async () => {
    const a = await makeSigningNode(clusterKeys());
    const [b, absent] = [await makeSigningNode(a.swarmKeys), await makeSigningNode(a.swarmKeys)];
    await using holder = await startHolder(a);
    // A record of `absent` that leads to the holder, as one who stole its address would make it.
    const router = new FixedRouter({ peerId: absent.peerId, origins: [holder.origin] });
    await using asker = await startMirror({ identity: b, router });
    assert.deepEqual(await pull(asker), [404, 404]);
    const { identity, ...others } = (await failures(asker)) as Record<string, number>;
    assert.ok((identity ?? 0) > 0);
    assert.deepEqual(others, {});
    assert.deepEqual(new Set(router.forgotten), new Set([absent.peerId]));
  });

  it('asks a peer at its next address when something else answers at the first', async () => {
    const a = await makeSigningNode(clusterKeys());
    const b = await makeSigningNode(a.swarmKeys);
    await using holder = await startHolder(a);
    await using other = await startRogue((socket) => {
      socket.write('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
    });
    const origins = [other.origin, holder.origin];
    await using asker = await startMirror({
      identity: b,
      router: new FixedRouter({ peerId: a.peerId, origins }),
    });
    assert.deepEqual(await pull(asker), [200, 200]);
  });

  it('asks a peer whose address another node has named, and checks its identity', async () => {
    const a = await makeSigningNode(clusterKeys());
    const b = await makeSigningNode(a.swarmKeys);
    await using holder = await startHolder(a);
    const provider = namedByOthers({ peerId: a.peerId, origins: [holder.origin] });
    await using asker = await startMirror({ identity: b, router: new FixedRouter(provider) });
    assert.deepEqual(await pull(asker), [200, 200]);
  });

  it('does not serve a request that was recorded and is sent again', async () => {
    const a = await makeSigningNode(clusterKeys());
    const b = await makeSigningNode(a.swarmKeys);
    await using holder = await startHolder(a);
    const [path = ''] = PATHS;
    const signature = b.signer.sign(a.peerId, { method: 'GET', target: path, range: undefined });
    const fields = Object.entries({ connection: 'close', host: 'mirror', ...signature?.fields });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const text = `GET ${path} HTTP/1.1\r\n${lines}\r\n`;
    assert.match(await exchange(holder.origin, text), /^HTTP\/1\.1 200 /);
    assert.match(await exchange(holder.origin, text), /^HTTP\/1\.1 401 /);
    assert.deepEqual(holder.refusals, ['stale']);
  });

  it('serves nodes and strangers when it is open, and knows its nodes', async () => {
    const keys = clusterKeys();
    const [a, b] = [await makeSigningNode(keys, true), await makeSigningNode(keys, true)];
    await using holder = await startHolder(a);
    assert.deepEqual(await pull(holder), [200, 200]);
    const router = new FixedRouter({ peerId: a.peerId, origins: [holder.origin] });
    await using asker = await startMirror({ identity: b, router });
    assert.deepEqual(await pull(asker), [200, 200]);
    assert.deepEqual(holder.refusals, []);
  });
});
