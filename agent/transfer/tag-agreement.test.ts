import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import type { Content } from '../content/content-source.ts';
import { createMetrics } from '../metrics/metrics.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, putImage, type TestImage } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror, type MirrorNode } from '../testing/mirror-node.ts';
import { PeerClient, type PeerResponse } from './client/peer-client.ts';
import { TagAgreement } from './tag-agreement.ts';

const NAME = 'registry.example/team/app:1';
const REQUEST: ContentRequest = {
  kind: 'manifest',
  method: 'GET',
  registry: 'registry.example',
  repository: 'team/app',
  tag: '1',
};
/** A port on which no program listens. */
const CLOSED = 'http://127.0.0.1:1';
const { signal } = new AbortController();

async function holderOf(image: TestImage): Promise<MirrorNode> {
  const node = await startMirror();
  putImage(node.store, image, NAME);
  return node;
}

/** Resolves the tag at the first holder, and compares it with all. */
function compareAt(
  holders: readonly MirrorNode[],
  first: TestImage,
  others: Readonly<Record<string, readonly string[]>> = {},
) {
  const lines: string[] = [];
  const metrics = createMetrics();
  const client = new PeerClient({ userAgent: 'test' });
  const asked: Promise<PeerResponse>[] = [];
  const origin = holders[0]?.origin ?? '';
  const content: Content = { kind: 'head', descriptor: first.manifest, origin };
  const providers = [
    ...holders.map((holder, index) => providerOf(String(index), holder)),
    ...Object.entries(others).map(([peerId, origins]) => ({ peerId, origins })),
  ];
  const agreement = new TagAgreement({
    source: { fetch: () => Promise.resolve(content), reasonFor: () => 'no-provider' },
    router: new FixedRouter(...providers),
    client: {
      fetch(...question) {
        const answer = client.fetch(...question);
        asked.push(answer);
        return answer;
      },
    },
    metrics,
    logger: pino({ level: 'warn' }, { write: (line: string) => lines.push(line) }),
  });
  return {
    agreement,
    /** What the other holders answer. */
    asked,
    lines,
    counted: async () => (await metrics.tagDisagreements.get()).values[0]?.value ?? 0,
    async [Symbol.asyncDispose]() {
      await agreement.stop();
      await client.close();
    },
  };
}

describe('TagAgreement', () => {
  it('counts and names once the holders that have another digest for a tag', async () => {
    const [image, moved] = [makeImage(10), makeImage(20)];
    await using one = await holderOf(image);
    await using same = await holderOf(image);
    await using other = await holderOf(moved);
    await using test = compareAt([one, same, other], image, { gone: [CLOSED] });
    await test.agreement.fetch(REQUEST, signal);
    await eventually(() => {
      assert.deepEqual(test.agreement.status(), {
        [NAME]: {
          [image.manifest.digest]: [one.origin, same.origin],
          [moved.manifest.digest]: [other.origin],
        },
      });
    });
    await test.agreement.fetch(REQUEST, signal);
    assert.equal(await test.counted(), 1);
    assert.equal(test.lines.length, 1);
    for (const part of [NAME, other.origin, moved.manifest.digest]) {
      assert.ok(test.lines[0]?.includes(part), part);
    }
  });

  it('asks a holder at its next address when it cannot be reached at the first', async () => {
    const [image, moved] = [makeImage(10), makeImage(20)];
    await using one = await holderOf(image);
    await using other = await holderOf(moved);
    await using test = compareAt([one], image, { other: [CLOSED, other.origin] });
    await test.agreement.fetch(REQUEST, signal);
    await eventually(() => {
      assert.deepEqual(test.agreement.status(), {
        [NAME]: { [image.manifest.digest]: [one.origin], [moved.manifest.digest]: [other.origin] },
      });
    });
  });

  it('says nothing when the holders agree, nor of what has no tag', async () => {
    const image = makeImage(10);
    await using one = await holderOf(image);
    await using same = await holderOf(image);
    await using test = compareAt([one, same], image);
    const { tag, ...byDigest } = REQUEST;
    assert.ok(tag !== undefined);
    await test.agreement.fetch({ ...byDigest, digest: image.manifest.digest }, signal);
    await test.agreement.fetch(REQUEST, signal);
    await eventually(() => {
      assert.equal(test.asked.length, 1);
    });
    const answer = await test.asked[0];
    assert.equal(answer?.origin, same.origin);
    // The comparison has all its answers, so that its end cannot be cut short.
    await test.agreement.stop();
    assert.equal(test.asked.length, 1);
    assert.deepEqual(test.agreement.status(), {});
    assert.deepEqual([await test.counted(), test.lines.length], [0, 0]);
    assert.equal(test.agreement.reasonFor(REQUEST), 'no-provider');
  });
});
