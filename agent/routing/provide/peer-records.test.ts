import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { routingKey } from '../dht/key.ts';
import type { RoutingKey } from '../dht/key.ts';
import { PeerRecords } from './peer-records.ts';

const keysOf = (...names: string[]) => names.map(routingKey);
const namesOf = (keys: readonly RoutingKey[]) => keys.map(({ name }) => name).join('');

/** Records of the keys that the peer has confirmed. */
function provided(keys: readonly RoutingKey[]): PeerRecords {
  const records = new PeerRecords();
  for (const event of ['assign', 'send', 'confirm'] as const) records.applyAll(keys, event);
  return records;
}

describe('PeerRecords', () => {
  it('names the latest keys to provide, and those whose exchange failed as the latest of all', () => {
    const records = new PeerRecords();
    records.applyAll(keysOf('a', 'b', 'c'), 'assign');
    const keys = records.latestToProvide(10);
    assert.equal(namesOf(records.latestToProvide(2)), 'bc');
    records.applyAll(keys.slice(0, 1), 'send');
    records.applyAll(keys.slice(0, 1), 'fail');
    assert.equal(namesOf(records.latestToProvide(10)), 'bca');
  });

  it('names the oldest keys to withdraw', () => {
    const keys = keysOf('a', 'b', 'c');
    const records = provided(keys);
    records.applyAll(keys.toReversed(), 'retract');
    assert.equal(namesOf(records.oldestToWithdraw(2)), 'cb');
  });

  it('counts the work to do, whatever the states it comes from', () => {
    const keys = keysOf('a', 'b', 'c', 'd');
    const [a, b, c, d] = keys;
    assert.ok(a && b && c && d);
    const records = provided([a, b, c]);
    const counts = () => [records.count('provide'), records.count('withdraw')];
    assert.deepEqual(counts(), [0, 0]);
    records.refresh();
    assert.deepEqual(counts(), [3, 0]);
    records.apply(d, 'assign');
    records.apply(a, 'retract');
    records.apply(b, 'release');
    assert.deepEqual(counts(), [2, 1]);
    records.applyAll([c, d], 'send');
    records.apply(a, 'forget');
    assert.deepEqual(counts(), [0, 0]);
  });

  it('refreshes what the peer has in the order of its confirmation, and drops the surplus', () => {
    const keys = keysOf('a', 'b', 'c');
    const [, , c] = keys;
    assert.ok(c);
    const records = provided(keys);
    records.apply(c, 'release');
    records.refresh();
    assert.equal(records.stateOf(c), undefined);
    assert.equal(namesOf(records.latestToProvide(1)), 'a');
    assert.equal(namesOf(records.latestToProvide(10)), 'ba');
  });
});
