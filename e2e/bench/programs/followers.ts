/**
 * Peers that follow the downloads of one node, and do nothing else: each has an identity and asks as an agent does, and reads
 * the bodies without keeping them. One whose body ends early goes on at that byte.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { ContentRequest } from '../../../agent/oci/content-request.ts';
import { parseDigest, type Digest } from '../../../agent/oci/digest.ts';
import { makeSigningNode } from '../../../agent/testing/signing-nodes.ts';
import { PeerClient, type PeerResponse } from '../../../agent/transfer/client/peer-client.ts';
import { memberOf } from '../../harness/swarm.ts';
import type { FollowOrder, FollowResult } from '../fan-out-parts/following.ts';
import { serve } from './serve.ts';

/** Between two requests of a follower that the parent does not serve yet. */
const AGAIN_MS = 50;
const SILENCE_MS = 30_000;

serve({ follow: (argument) => followAll(argument as FollowOrder) });

async function followAll(order: FollowOrder): Promise<FollowResult> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
  }, order.limitMs);
  const all: Promise<Followed>[] = [];
  for (const text of order.digests) {
    for (let index = 0; index < order.followers; index++) {
      const rate = index < order.slow ? order.slowBytesPerSecond : undefined;
      all.push(follow(order, parseDigest(text), rate, late.signal));
    }
  }
  const followed = await Promise.all(all);
  clearTimeout(timer);
  return {
    whole: followed.filter(({ isWhole }) => isWhole).length,
    bytes: followed.reduce((sum, { bytes }) => sum + bytes, 0),
    bodies: followed.reduce((sum, { bodies }) => sum + bodies, 0),
  };
}

/** What one follower has received. */
interface Followed {
  bytes: number;
  bodies: number;
  isWhole: boolean;
}

async function follow(
  { origin, peerId, swarmKeyFile, registry, repository }: FollowOrder,
  digest: Digest | undefined,
  bytesPerSecond: number | undefined,
  late: AbortSignal,
): Promise<Followed> {
  if (digest === undefined) throw new Error('the order is wrong');
  const { signer } = await makeSigningNode(memberOf(swarmKeyFile).swarm?.swarmKeys.keys ?? []);
  const client = new PeerClient({
    userAgent: 'peerglass/bench',
    stallTimeout: SILENCE_MS,
    signer,
    follows: true,
  });
  const followed: Followed = { bytes: 0, bodies: 0, isWhole: false };
  while (!late.aborted && !followed.isWhole) {
    const range = { kind: 'from', start: followed.bytes } as const;
    const named = { registry, repository, digest };
    const request: ContentRequest = { kind: 'blob', method: 'GET', ...named, range };
    try {
      const response = await client.fetch({ origin, peerId }, request, SILENCE_MS, late);
      followed.bodies += 1;
      await read(response, followed, bytesPerSecond, late);
      followed.isWhole = followed.bytes === response.descriptor.size;
    } catch {
      // The parent does not receive it yet, or has ended the body.
      await sleep(AGAIN_MS);
    }
  }
  return followed;
}

async function read(
  { body }: PeerResponse,
  followed: Followed,
  bytesPerSecond: number | undefined,
  late: AbortSignal,
): Promise<void> {
  for await (const chunk of body as AsyncIterable<Buffer>) {
    followed.bytes += chunk.length;
    if (bytesPerSecond !== undefined) {
      await sleep((chunk.length / bytesPerSecond) * 1000, undefined, { signal: late });
    }
  }
}
