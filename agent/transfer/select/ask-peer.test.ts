import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import { startCrowd, STALE } from '../../testing/crowd.ts';
import { makeImage } from '../../testing/image.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { PeerClient } from '../client/peer-client.ts';
import { askPeer, timeoutAfterSilence } from './ask-peer.ts';

/** A port on which no program listens. */
const CLOSED = 'http://127.0.0.1:1';
const { digest } = makeImage(1).manifest;
const request: ContentRequest = {
  kind: 'blob',
  method: 'HEAD',
  registry: '',
  repository: 'team/app',
  digest,
};

describe('askPeer', () => {
  const client = new PeerClient({ userAgent: 'peerglass/test' });
  after(() => client.close());
  const { signal } = new AbortController();

  it('tries the next address when it cannot connect to the first', async () => {
    await using good = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': 1 }));
    });
    const provider = { peerId: 'good', origins: [CLOSED, good.origin] };
    const { origin } = await askPeer(client, provider, request, 5_000, signal);
    assert.equal(origin, good.origin);
  });

  it('tries no other address when the peer has answered', async () => {
    await using stale = await startCrowd(2, STALE.notFound);
    const origins = stale.providers.flatMap((it) => it.origins);
    const asking = askPeer(client, { peerId: 'stale', origins }, request, 5_000, signal);
    await assert.rejects(asking, { reason: 'not-found' });
    assert.equal(stale.requests.length, 1);
  });

  it('tries three addresses, and fails for a peer without one', async () => {
    await using good = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': 1 }));
    });
    for (const origins of [[CLOSED, CLOSED, CLOSED, good.origin], []]) {
      const asking = askPeer(client, { peerId: 'far', origins }, request, 5_000, signal);
      await assert.rejects(asking, { reason: 'connect' });
    }
    assert.equal(good.requests.length, 0);
  });
});

describe('timeoutAfterSilence', () => {
  const one = { peerId: 'a', origins: ['http://192.0.2.1:5000'] };

  it('is a quarter with each silence after the first, and 200 ms at least', () => {
    const timeouts = [1, 2, 3].map((silences) => timeoutAfterSilence(one, 2_000, silences));
    assert.deepEqual(timeouts, [2_000, 500, 200]);
    assert.equal(timeoutAfterSilence(one, 100, 3), 100, 'never more than the timeout of all');
  });

  it('is shared by the addresses of the peer', () => {
    const origins = Array<string>(5).fill('http://192.0.2.1:5000');
    assert.equal(timeoutAfterSilence({ ...one, origins: origins.slice(0, 2) }, 2_000, 1), 1_000);
    assert.equal(timeoutAfterSilence({ ...one, origins }, 3_000, 1), 1_000);
  });
});
