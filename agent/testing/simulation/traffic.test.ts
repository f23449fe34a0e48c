import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeFindNode, encodePing } from '../../routing/dht/dht-messages.ts';
import { frame } from '../../routing/dht/frames.ts';
import { DHT_PROTOCOL } from '../../routing/node/libp2p-node.ts';
import { kindOf, TrafficByKind } from './traffic.ts';

describe('kindOf', () => {
  it('is the type of the first message of the DHT, and otherwise the protocol', () => {
    assert.equal(kindOf(DHT_PROTOCOL, frame(encodePing())), 'PING');
    assert.equal(kindOf(DHT_PROTOCOL, frame(encodeFindNode(new Uint8Array(300)))), 'FIND_NODE');
    assert.equal(kindOf(DHT_PROTOCOL, Uint8Array.of(1)), DHT_PROTOCOL);
    assert.equal(kindOf('/other', frame(encodePing())), '/other');
  });
});

describe('TrafficByKind', () => {
  it('adds up each kind, and lists the one with most bytes first', () => {
    const traffic = new TrafficByKind();
    traffic.add('a', { messages: 1, bytes: 10 });
    traffic.add('b', { messages: 1, bytes: 15 });
    traffic.add('a', { messages: 2, bytes: 20 });
    assert.deepEqual(traffic.all(), [
      ['a', { messages: 3, bytes: 30 }],
      ['b', { messages: 1, bytes: 15 }],
    ]);
    traffic.clear();
    assert.deepEqual(traffic.all(), []);
  });
});
