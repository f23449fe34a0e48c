import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import type { Provider } from '../../routing/router.ts';
import { sha256 } from '../../testing/image.ts';
import { TransferRecord } from './transfer-record.ts';

const SIZE = 100;
const digest = sha256(Buffer.alloc(SIZE));
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: '',
  repository: 'team/app',
  digest,
};

function record(): TransferRecord {
  return new TransferRecord(request, { mediaType: 'x/y', digest, size: SIZE });
}

function provider(peerId: string): Provider {
  return { peerId, origins: [] };
}

describe('TransferRecord', () => {
  it('names the sole peer of a blob that was forwarded whole', () => {
    const it = record();
    it.deliveredBy(provider('a'));
    it.forwarded({ start: 0, end: 49 }, provider('a'));
    assert.deepEqual(it.solePeer, undefined, 'half of the blob has not been forwarded');
    it.deliveredBy(provider('a'));
    it.forwarded({ start: 50, end: 99 }, provider('a'));
    assert.deepEqual(it.solePeer, provider('a'));
  });

  it('names no sole peer when several delivered', () => {
    const it = record();
    for (const peerId of ['a', 'b']) it.deliveredBy(provider(peerId));
    it.forwarded({ start: 0, end: 99 }, provider('b'));
    assert.equal(it.solePeer, undefined);
    assert.deepEqual(
      it.peers.map(({ peerId }) => peerId),
      ['a', 'b'],
    );
  });

  it('is complete, though without a sole peer, when the client began in the middle', () => {
    const it = record();
    it.deliveredBy(provider('a'));
    it.forwarded({ start: 60, end: 99 }, provider('a'));
    assert.ok(it.isComplete);
    assert.equal(it.solePeer, undefined);
  });

  it('knows which bytes each of several peers delivered, and which one delivers', () => {
    const it = record();
    for (const [peerId, start] of [
      ['a', 0],
      ['b', 40],
    ] as const) {
      it.deliveredBy(provider(peerId));
      it.forwarded({ start, end: start === 0 ? 39 : 99 }, provider(peerId));
      assert.equal(it.deliverer, peerId);
    }
    assert.deepEqual(it.shares, [
      { peerId: 'a', range: { start: 0, end: 39 } },
      { peerId: 'b', range: { start: 40, end: 99 } },
    ]);
  });

  it('remembers at most 64 peers', () => {
    const it = record();
    for (let index = 0; index < 100; index += 1) it.deliveredBy(provider(`peer ${index}`));
    assert.equal(it.peers.length, 64);
  });
});
