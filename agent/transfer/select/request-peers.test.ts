import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Provider } from '../../routing/router.ts';
import { RequestPeers } from './request-peers.ts';

const provider = (peerId: string): Provider => ({ peerId, origins: [] });

describe('RequestPeers', () => {
  it('lets a peer break off once after it has delivered, and not twice', () => {
    const peers = new RequestPeers();
    peers.brokeOff('a', 'body', true);
    assert.ok(!peers.hasFailed('a'));
    peers.busy(provider('a'));
    peers.takeBusy();
    peers.brokeOff('a', 'body', true);
    assert.ok(peers.hasFailed('a'));
  });

  it('does not ask a peer again that broke off before it delivered, or delivered wrong bytes', () => {
    const peers = new RequestPeers();
    peers.brokeOff('early', 'body', false);
    peers.brokeOff('wrong', 'digest', true);
    assert.ok(peers.hasFailed('early') && peers.hasFailed('wrong'));
  });

  it('forgets silence, and no wrong answer', () => {
    const peers = new RequestPeers();
    for (const reason of ['timeout', 'connect', 'body', 'tls'] as const)
      peers.failed(reason, reason);
    for (const reason of ['not-found', 'status'] as const) peers.failed(reason, reason);
    peers.forgetSilence();
    const failed = ['timeout', 'connect', 'body', 'tls', 'not-found', 'status'];
    assert.deepEqual(
      failed.filter((peerId) => peers.hasFailed(peerId)),
      ['not-found', 'status'],
    );
  });

  it('lets a peer that broke off twice be asked once more after its failure is forgotten', () => {
    const peers = new RequestPeers();
    peers.brokeOff('a', 'body', true);
    peers.brokeOff('a', 'body', true);
    peers.forgetSilence();
    assert.ok(!peers.hasFailed('a'));
    peers.brokeOff('a', 'body', true);
    assert.ok(peers.hasFailed('a'));
  });

  it('gives the busy peers once, in the order of their answers', () => {
    const peers = new RequestPeers();
    for (const peerId of ['a', 'b', 'a']) peers.busy(provider(peerId));
    assert.ok(peers.hasBusy);
    const taken = peers.takeBusy().map(({ peerId }) => peerId);
    assert.deepEqual(taken, ['b', 'a']);
    assert.ok(!peers.hasFailed('a'));
    assert.deepEqual([peers.hasBusy, peers.takeBusy()], [false, []]);
  });

  it('keeps the furthest progress', () => {
    const peers = new RequestPeers();
    assert.equal(peers.progress, 'none-asked');
    peers.asked();
    assert.equal(peers.progress, 'asked');
    peers.busy(provider('a'));
    peers.asked();
    assert.equal(peers.progress, 'busy');
    peers.failed('b', 'range');
    peers.busy(provider('c'));
    assert.equal(peers.progress, 'unsatisfiable');
  });

  it('lets peers be asked again that were found wrong by mistake, and no longer counts their faults', () => {
    const peers = new RequestPeers();
    const wronged = Array.from({ length: 32 }, (_, index) => `${index}`);
    for (const peerId of wronged) peers.failed(peerId, 'protocol');
    assert.ok(peers.exhausted);
    assert.ok(peers.mayAskAgain(wronged));
    assert.deepEqual([peers.exhausted, peers.hasFailed('0')], [false, false]);
    assert.ok(!peers.mayAskAgain([]));
  });

  it('is exhausted by 32 faults, and by no number of silent peers', () => {
    const peers = new RequestPeers();
    for (let peer = 0; peer < 100; peer++) peers.failed(`${peer}`, 'timeout');
    for (let peer = 0; peer < 31; peer++) peers.failed(`faulty ${peer}`, 'status');
    assert.ok(!peers.exhausted);
    peers.brokeOff('last', 'body', true);
    assert.ok(peers.exhausted);
  });
});
