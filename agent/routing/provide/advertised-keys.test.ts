import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { newSwarmKey } from '../../membership/swarm-key.ts';
import { ChangingKeys } from '../../testing/changing-keys.ts';
import { LookupKeys } from '../dht/lookup-keys.ts';
import { AdvertisedKeys } from './advertised-keys.ts';

const [first, second] = [newSwarmKey(), newSwarmKey()];

function fixture() {
  const swarmKeys = new ChangingKeys([first]);
  return {
    swarmKeys,
    keys: new AdvertisedKeys(new LookupKeys({ swarmKeys, isOpen: false })),
  };
}

describe('AdvertisedKeys', () => {
  it('gives the keys of a name once, until it is removed', () => {
    const { keys } = fixture();
    const [key] = keys.add('name');
    assert.ok(key !== undefined);
    assert.deepEqual(keys.add('name'), []);
    assert.deepEqual([keys.size, keys.has('name'), keys.includes(key)], [1, true, true]);
    assert.deepEqual([keys.any(), keys.keys(), keys.names()], [key, [key], ['name']]);
    assert.deepEqual(keys.remove('name'), [key]);
    assert.deepEqual(keys.remove('name'), []);
    assert.deepEqual([keys.size, keys.has('name'), keys.any()], [0, false, undefined]);
    const [again] = keys.add('name');
    assert.ok(again !== undefined && !keys.includes(key) && keys.includes(again));
  });

  it('keeps the keys that stay, and names those that come and go', () => {
    const { keys, swarmKeys } = fixture();
    const [former] = keys.add('name');
    assert.ok(former !== undefined);
    swarmKeys.change([second, first]);
    const change = keys.renew('name');
    assert.deepEqual([change.added.length, change.removed], [1, []]);
    assert.ok(keys.includes(former) && keys.keys().length === 2);
    assert.deepEqual(keys.renew('name'), { added: [], removed: [] });
    swarmKeys.change([second]);
    assert.deepEqual(keys.renew('name'), { added: [], removed: [former] });
    assert.ok(!keys.includes(former));
  });

  it('renews no name that is not advertised', () => {
    const { keys } = fixture();
    keys.add('name');
    keys.clear();
    assert.deepEqual(keys.renew('name'), { added: [], removed: [] });
    assert.equal(keys.size, 0);
  });
});
