import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ListenerTls } from '../../http/tls-server.ts';
import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { makeImage } from '../../testing/image.ts';
import { FixedRouter, startMirror, type MirrorNode } from '../../testing/mirror-node.ts';
import { clusterKeys, makeSigningNode, type SigningNode } from '../../testing/signing-nodes.ts';
import { fixedSource } from '../../testing/test-tls.ts';
import { IdentityCertificate } from '../../tls/identity-certificate.ts';
import type { PeerTls } from '../client/peer-agents.ts';

const image = makeImage(3_000_000);
const PATHS = [
  `manifests/${image.manifest.digest}`,
  ...image.layers.map((digest) => `blobs/${digest}`),
].map((path) => `/v2/team/app/${path}?ns=registry.example`);

function tlsOf({ privateKey }: SigningNode): { listener: ListenerTls; peers: PeerTls } {
  const source = new IdentityCertificate(privateKey);
  return {
    listener: { source, clientAuth: 'none' },
    peers: { source, serverName: '', byIdentity: true },
  };
}

/** A node that has the image. Default: it shows the certificate of its identity. */
async function startHolder(
  identity: SigningNode,
  tls = tlsOf(identity).listener,
): Promise<MirrorNode> {
  const holder = await startMirror({ identity, tls, isLocal: () => false });
  for (const [digest, bytes] of image.blobs) holder.store.putBlob(bytes, digest);
  return holder;
}

/** Pulls through a node of the same cluster, whose own client speaks plain HTTP; gives statuses and failures. */
async function pullFrom(holder: MirrorNode, { peerId, swarmKeys }: SigningNode, peerTls?: PeerTls) {
  const identity = await makeSigningNode(swarmKeys);
  const router = new FixedRouter({ peerId, origins: [holder.origin] });
  await using asker = await startMirror({
    identity,
    router,
    peerTls: peerTls ?? tlsOf(identity).peers,
    headTimeout: 5_000,
  });
  const statuses: number[] = [];
  for (const path of PATHS) {
    const response = await fetch(asker.origin + path);
    const bytes = Buffer.from(await response.arrayBuffer());
    const isRight = [...image.blobs.values()].some((blob) => blob.equals(bytes));
    if (response.status === 200) assert.ok(isRight, path);
    statuses.push(response.status);
  }
  const { values } = await asker.metrics.peerFailures.get();
  const failures = values.filter(({ value }) => value > 0).map(({ labels }) => labels.reason);
  return { statuses, failures };
}

describe('TLS by identities', { skip: process.env['PEERGLASS_TEST_TLS'] !== undefined }, () => {
  it('serves nodes that know the identity, without an authority', async () => {
    const node = await makeSigningNode(clusterKeys());
    await using holder = await startHolder(node);
    assert.match(holder.origin, /^https:/);
    assert.deepEqual(await pullFrom(holder, node), {
      statuses: PATHS.map(() => 200),
      failures: [],
    });
  });

  it('sends nothing to another identity at the address, though it is a node of the cluster', async () => {
    const node = await makeSigningNode(clusterKeys());
    const other = await makeSigningNode(node.swarmKeys);
    await using between = await startHolder(other);
    assert.deepEqual(await pullFrom(between, node), {
      statuses: PATHS.map(() => 404),
      failures: ['tls'],
    });
    assert.deepEqual(between.refusals, [], 'no request has come');
  });

  it('does not believe a certificate that is not of the one who answers', async () => {
    const node = await makeSigningNode(clusterKeys());
    await using holder = await startHolder(node, tlsOf(await makeSigningNode([])).listener);
    const { statuses, failures } = await pullFrom(holder, node);
    assert.deepEqual(
      statuses,
      PATHS.map(() => 404),
    );
    assert.deepEqual(failures, ['tls']);
  });

  it('and certificates of an authority do not go together', { skip: noOpenssl }, async () => {
    const node = await makeSigningNode(clusterKeys());
    await using authority = await Authority.create();
    const source = fixedSource(await authority.material('node', { names: 'IP:127.0.0.1' }));
    const peerTls = { source, serverName: '', byIdentity: false };
    await using byIdentity = await startHolder(node);
    await using byAuthority = await startHolder(node, { source, clientAuth: 'none' });
    const served = { statuses: PATHS.map(() => 200), failures: [] };
    const refused = { statuses: PATHS.map(() => 404), failures: ['tls'] };
    assert.deepEqual(await pullFrom(byIdentity, node, peerTls), refused);
    assert.deepEqual(await pullFrom(byAuthority, node), refused);
    assert.deepEqual(await pullFrom(byAuthority, node, peerTls), served);
  });
});
