import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import type { Member, Decision } from '../question.ts';
import { NamedMembers } from './named-members.ts';

const SELF = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const KNOWN = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
const STRANGER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';

const network = new MemoryNetwork();
const router = new MemoryRouter({ network }, { peerId: SELF, origins: ['http://10.0.0.1:5000'] });
new MemoryRouter({ network }, { peerId: KNOWN, origins: ['http://10.0.0.2:5000'] });
const named = new NamedMembers({ router });

const follow = (parent: Member): Decision => ({ kind: 'follow', renewMs: 1, parent });

describe('NamedMembers', () => {
  it('take what the router knows of a member, not what the arbiter says', () => {
    const origins = ['http://10.9.9.9:5000'];
    assert.deepEqual(named.of(follow({ peerId: KNOWN, origins })), [
      { peerId: KNOWN, origins: ['http://10.0.0.2:5000'] },
    ]);
  });

  it('name a stranger after the place that the arbiter says', () => {
    const origins = ['http://10.0.0.3:5000', 'https://[fd00::3]:5000'];
    assert.deepEqual(named.of(follow({ peerId: STRANGER, origins })), [
      { peerId: `${STRANGER}@10.0.0.3:5000`, origins },
    ]);
  });

  it('leave out addresses at which no node can be, and members without others', () => {
    const metadata = 'http://169.254.169.254:80';
    assert.deepEqual(named.of(follow({ peerId: STRANGER, origins: [metadata] })), []);
    const origins = [metadata, 'http://node.example:5000', 'http://10.0.0.3:5000'];
    assert.deepEqual(named.of(follow({ peerId: STRANGER, origins })), [
      { peerId: `${STRANGER}@10.0.0.3:5000`, origins: ['http://10.0.0.3:5000'] },
    ]);
    assert.deepEqual(named.of(follow({ peerId: STRANGER, origins: [] })), []);
  });

  it('leave out this node, and IDs that are none', () => {
    const origins = ['http://10.0.0.3:5000'];
    for (const peerId of [SELF, 'abc', '12D3KooW', `${STRANGER}@10.0.0.1:5000`, '']) {
      assert.deepEqual(named.of(follow({ peerId, origins })), [], peerId);
    }
  });

  it('name all holders, in their order, and none for other answers', () => {
    const holders = [KNOWN, SELF, STRANGER].map((peerId) => ({
      peerId,
      origins: ['http://10.0.0.3:5000'],
    }));
    const peers = named.of({ kind: 'held', holders }).map(({ peerId }) => peerId);
    assert.deepEqual(peers, [KNOWN, `${STRANGER}@10.0.0.3:5000`]);
    for (const decision of [
      { kind: 'fetch', renewMs: 1 },
      { kind: 'go-on', renewMs: 1 },
      { kind: 'alone', forMs: 1 },
    ] as const) {
      assert.deepEqual(named.of(decision), []);
    }
  });
});
