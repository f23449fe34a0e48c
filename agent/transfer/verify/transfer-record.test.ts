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
    it.forwarded({ start: 0, end: 49 });
    assert.deepEqual(it.solePeer, undefined, 'half of the blob has not been forwarded');
    it.deliveredBy(provider('a'));
    it.forwarded({ start: 50, end: 99 });
    assert.deepEqual(it.solePeer, provider('a'));
  });

  it('names no sole peer when several delivered', () => {
    const it = record();
    for (const peerId of ['a', 'b']) it.deliveredBy(provider(peerId));
    it.forwarded({ start: 0, end: 99 });
    assert.equal(it.solePeer, undefined);
    assert.deepEqual(
      it.peers.map(({ peerId }) => peerId),
      ['a', 'b'],
    );
  });

  it('is complete, though without a sole peer, when the client began in the middle', () => {
    const it = record();
    it.deliveredBy(provider('a'));
    it.forwarded({ start: 60, end: 99 });
    assert.ok(it.isComplete);
    assert.equal(it.solePeer, undefined);
  });

  it('remembers at most 64 peers', () => {
    const it = record();
    for (let index = 0; index < 100; index += 1) it.deliveredBy(provider(`peer ${index}`));
    assert.equal(it.peers.length, 64);
  });
});
