import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import { providerOf } from '../../testing/mirror-node.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { sha256 } from '../../testing/image.ts';
import { testTls } from '../../testing/test-tls.ts';
import { PeerClient } from '../client/peer-client.ts';
import type { PeerOutcome } from '../select/peer-outcome.ts';
import { FollowedBlobs } from './followed-blobs.ts';
import { TransferRecord } from './transfer-record.ts';

const SIZE = 1_000;
const digest = sha256(Buffer.alloc(SIZE));
const descriptor = { mediaType: 'application/octet-stream', digest, size: SIZE };
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: '',
  repository: 'team/app',
  digest,
};
const never = new AbortController().signal;

describe('FollowedBlobs', () => {
  for (const [what, status, blocks] of [
    ['holds it now: it had it right', 200, ['unverified', 'digest-mismatch']],
    ['does not hold it: it got it wrong itself', 404, ['unverified']],
    ['does not say', 503, ['unverified']],
  ] as const) {
    it(`blocks the peer that sent all of a wrong blob, and ${what}`, async (t) => {
      await using peer = await startRogue((socket, text) => {
        assert.match(text, /^HEAD /);
        assert.doesNotMatch(text, /peerglass-follow/i);
        socket.write(responseHead(status, { 'content-length': status === 200 ? SIZE : 0 }));
      });
      const client = new PeerClient({ userAgent: 'test', ...(testTls && { tls: testTls }) });
      t.after(() => client.close());
      const outcomes: PeerOutcome['kind'][] = [];
      const scoreboard = {
        record: (_peer: unknown, _key: string, { kind }: PeerOutcome) => {
          outcomes.push(kind);
        },
      };
      const followed = new FollowedBlobs({ client, scoreboard });
      const record = new TransferRecord(request, descriptor);
      const provider = providerOf('peer', peer);
      record.deliveredBy(provider);
      record.forwarded({ start: 0, end: SIZE - 1 }, provider);
      assert.equal(followed.isLeftToUpstream(digest), false);
      await followed.attribute(record, never);
      assert.deepEqual(outcomes, blocks);
      assert.equal(followed.isLeftToUpstream(digest), true);
    });
  }
});
