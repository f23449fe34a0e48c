import assert from 'node:assert/strict';

import type { ClusterNode } from '../../harness/cluster.ts';
import type { ImageFixture } from '../../harness/fixtures.ts';
import { assertHoldsImage } from '../../harness/image-check.ts';
import { manifestPath } from '../../harness/mirror.ts';
import type { Herd } from '../../scenarios/support/herd.ts';

/** Tags of an image that the registry refuses, each of which a liar coordinates or not. */
const REFUSED = 6;

/** What all nodes were answered, and how many HEADs of the tag the registry was asked meanwhile. */
interface Resolved {
  readonly statuses: readonly number[];
  readonly digests: readonly (string | null)[];
  readonly heads: number;
}

/** Has all nodes resolve the tag of the path at once. */
export async function resolveOnAll({ front, nodes }: Herd, path: string): Promise<Resolved> {
  const before = (await front.requests()).length;
  const responses = await Promise.all(
    nodes.map(({ agent }) => agent.fetch(path, { method: 'HEAD' })),
  );
  const [tag = ''] = path.split('?');
  const requests = (await front.requests()).slice(before);
  return {
    statuses: responses.map(({ status }) => status),
    digests: responses.map(({ headers }) => headers.get('docker-content-digest')),
    heads: requests.filter((it) => it.method === 'HEAD' && it.path === tag).length,
  };
}

/** The registry refuses an image that nodes have, and each of them hears so from the registry. */
export async function assertRefused(herd: Herd, { image }: ImageFixture): Promise<void> {
  const { front, nodes } = herd;
  const path = manifestPath(image);
  const [repository = ''] = path.split('/manifests/');
  for (const status of [401, 403, 404]) {
    await front.behave({ rules: [{ path: repository, status }] });
    const others = Array.from({ length: REFUSED }, (_, at) => `${status}-${at}`);
    for (const tag of ['1.0', ...others]) {
      const { statuses, digests, heads } = await resolveOnAll(
        herd,
        path.replace('/1.0?', `/${tag}?`),
      );
      const what = `${status} for ${tag}: ${String(statuses)}, ${heads} HEADs`;
      const answer = status === 404 ? 404 : 403;
      assert.ok(
        statuses.every((it) => it === answer),
        what,
      );
      assert.deepEqual(digests, Array(nodes.length).fill(null), what);
      assert.ok(heads >= nodes.length, what);
    }
  }
  await front.behave({});
}

/**
 * Pulls at all nodes, where a member may name the digest, of which there is no content.
 *
 * @returns the nodes that got nothing for that; each other one has the right image
 */
export async function failedByDigest(
  herd: Herd,
  { image }: ImageFixture,
  digest: string,
): Promise<readonly ClusterNode[]> {
  const failed: ClusterNode[] = [];
  for (const { node, error } of await Promise.all(herd.pull(image.name))) {
    if (error === undefined) {
      await assertHoldsImage(node.containerd, image);
      continue;
    }
    assert.ok(error.message.includes(digest), error.message);
    assert.equal((await node.containerd.images()).get(image.name), undefined);
    failed.push(node);
  }
  return failed;
}
