import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Arbiter } from '../fanout/arbiter/arbiter.ts';
import type { DownloadStatus } from '../fanout/downloads/participations.ts';
import type { Question } from '../fanout/question.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import { parseShareRule } from '../oci/share-rule.ts';
import { MemoryNetwork, MemoryRouter } from '../routing/memory-router.ts';
import { sha256 } from '../testing/image.ts';
import { reportFanOut } from './fan-out-report.ts';

const DIGEST = sha256(Buffer.from('a layer'));
const SHORT = `${DIGEST.slice(0, 19)}…`;
const FETCHING: DownloadStatus = {
  digest: DIGEST,
  registry: 'ghcr.io',
  repository: 'open/app',
  state: 'fetching',
  offset: 500,
  size: 1_000,
  bytesPerSecond: 250,
  children: 1,
};

function report(downloads: readonly DownloadStatus[], arbiter = new Arbiter()) {
  const network = new MemoryNetwork();
  const router = new MemoryRouter({ network }, { peerId: 'me', origins: ['http://10.0.0.1:5000'] });
  network.join({ peerId: 'parent', origins: ['http://10.0.0.7:5000'] });
  return reportFanOut({
    downloads: { status: () => downloads },
    arbiter,
    followers: { addresses: (digest) => (digest === DIGEST ? ['::ffff:10.0.0.9', 'fd00::9'] : []) },
    router,
    policy: new SharePolicy({
      rules: ['ghcr.io/team=authorized', 'ghcr.io/secret=none'].map(parseShareRule),
    }),
  });
}

describe('reportFanOut', () => {
  it('says what arrives, how fast, and for whom', () => {
    assert.deepEqual(report([FETCHING]), {
      enabled: true,
      downloads: [
        {
          digest: DIGEST,
          registry: 'ghcr.io',
          repository: 'open/app',
          state: 'fetching',
          bytes: 500,
          sizeBytes: 1_000,
          bytesPerSecond: 250,
          followers: 1,
          followerAddresses: ['10.0.0.9', 'fd00::9'],
        },
      ],
      notListed: 0,
      arbiter: { digests: 0, nodes: 0, latest: [] },
    });
  });

  it('says from whom, and where that is when this node knows it', () => {
    const [known, unknown] = report([
      { ...FETCHING, state: 'following', parent: 'parent' },
      { ...FETCHING, state: 'following', parent: 'stranger' },
    ]).downloads;
    assert.deepEqual([known?.from, known?.fromOrigin], ['parent', 'http://10.0.0.7:5000']);
    assert.deepEqual([unknown?.from, unknown?.fromOrigin], ['stranger', undefined]);
  });

  for (const repository of ['team/app', 'secret/app']) {
    it(`names neither ${repository} nor its whole digest, which is enough to get the bytes`, () => {
      const text = JSON.stringify(report([{ ...FETCHING, repository }]));
      assert.ok(!text.includes(repository) && !text.includes(DIGEST), text);
      assert.ok(text.includes(SHORT), text);
    });
  }

  it('lists a bounded number of downloads, and counts the others', () => {
    const { downloads, notListed } = report(Array.from({ length: 130 }, () => FETCHING));
    assert.deepEqual([downloads.length, notListed], [100, 30]);
  });

  it('says what this node decides for others and why, without a whole digest', () => {
    let now = 0;
    const arbiter = new Arbiter({ now: () => now });
    const wants: Question = {
      ...{ digest: DIGEST, state: 'wants', offset: 0, size: 1_000, failed: [], canFetch: true },
      ...{ children: 0, isRoomy: true, zone: '' },
    };
    for (const peerId of ['a', 'b', 'c']) arbiter.answer({ peerId, origins: [] }, wants);
    now = 240;
    assert.deepEqual(report([], arbiter).arbiter, {
      digests: 1,
      nodes: 3,
      latest: [
        {
          digest: SHORT,
          nodes: { wants: 3 },
          holders: 0,
          fetchers: [{ peerId: 'a', reason: 'first', seconds: 0.2, bytes: 0, sizeBytes: 1_000 }],
          levels: 1,
          mostFollowers: 2,
        },
      ],
    });
  });
});
