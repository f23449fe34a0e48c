import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeGetProviders } from '../../routing/dht/dht-messages.ts';
import { routingKey } from '../../routing/dht/key.ts';
import { LookupTrace } from './lookup-trace.ts';

const stream = (): object => ({});
const question = (name: string): Uint8Array => encodeGetProviders(routingKey(name).multihash);

describe('LookupTrace', () => {
  it('counts requests that follow an answer as another round', () => {
    const trace = new LookupTrace('key');
    const [a, b, c] = [stream(), stream(), stream()];
    trace.sent(a, question('key'));
    trace.sent(b, question('key'));
    assert.deepEqual([trace.requests, trace.rounds], [2, 0]);
    trace.received(a);
    trace.sent(c, question('key'));
    assert.equal(trace.rounds, 1);
    trace.received(c);
    assert.equal(trace.rounds, 2);
    // It was of the first round.
    trace.received(b);
    assert.deepEqual([trace.requests, trace.rounds], [3, 2]);
  });

  it('counts a request for which a stream was opened to the round in which it was asked for', () => {
    const trace = new LookupTrace('key');
    const [quick, slow] = [stream(), stream()];
    const { next } = trace;
    trace.sent(quick, question('key'));
    trace.received(quick);
    trace.opened(slow, next);
    trace.sent(slow, question('key'));
    trace.received(slow);
    assert.equal(trace.rounds, 1);
    trace.sent(slow, question('key'));
    trace.received(slow);
    assert.equal(trace.rounds, 2);
  });

  it('counts neither requests for other keys nor messages without a request', () => {
    const trace = new LookupTrace('key');
    const other = stream();
    trace.sent(other, question('other'));
    trace.sent(other, new Uint8Array(1000));
    trace.received(other);
    assert.deepEqual([trace.requests, trace.rounds], [0, 0]);
  });
});
