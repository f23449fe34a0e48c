import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';

import { lookupSecret } from '../../membership/lookup-secret.ts';
import { newSwarmKey, type SwarmKey } from '../../membership/swarm-key.ts';
import { ChangingKeys } from '../../testing/changing-keys.ts';
import { recordKeyOf, routingKey, targetOf } from './key.ts';
import { LookupKeys } from './lookup-keys.ts';

const NAME = 'registry.example/team/secret:1.0';
const [first, second] = [newSwarmKey(), newSwarmKey()];

/** What the key of the name is on the wire. */
function keyUnder(key: SwarmKey): Buffer {
  const hash = createHmac('sha256', lookupSecret(key)).update(NAME).digest();
  return Buffer.concat([Uint8Array.of(0x12, 0x20), hash]);
}

const sent = (keys: LookupKeys): Buffer[] =>
  keys.of(NAME).map(({ multihash }) => Buffer.from(multihash));

describe('LookupKeys', () => {
  it('has the plain key without a swarm key', () => {
    const keys = new LookupKeys();
    assert.deepEqual(keys.of(NAME), [routingKey(NAME)]);
    assert.deepEqual(keys.first(NAME), routingKey(NAME));
  });

  it('has a key of each swarm key in a closed cluster, and no plain one', () => {
    const keys = new LookupKeys({ swarmKeys: { keys: [first, second] }, isOpen: false });
    assert.deepEqual(sent(keys), [keyUnder(first), keyUnder(second)]);
  });

  it('has the plain key too where nodes without a swarm key may connect', () => {
    const keys = new LookupKeys({ swarmKeys: { keys: [first] }, isOpen: true });
    assert.deepEqual(sent(keys), [keyUnder(first), Buffer.from(routingKey(NAME).multihash)]);
  });

  it('derives all forms of a key from what is sent', () => {
    const keys = new LookupKeys({ swarmKeys: { keys: [first] }, isOpen: false });
    const key = keys.first(NAME);
    assert.equal(key.name, NAME);
    assert.equal(key.target, targetOf(key.multihash));
    assert.equal(key.recordKey, recordKeyOf(key.multihash));
    assert.deepEqual(keys.of(NAME), [key]);
  });

  it('follows the swarm keys, and says so', () => {
    const swarmKeys = new ChangingKeys([first]);
    const keys = new LookupKeys({ swarmKeys, isOpen: false });
    let changes = 0;
    const end = keys.onChange(() => (changes += 1));
    assert.deepEqual(sent(keys), [keyUnder(first)]);
    swarmKeys.change([second, first]);
    assert.deepEqual(sent(keys), [keyUnder(second), keyUnder(first)]);
    end();
    swarmKeys.change([second]);
    assert.deepEqual(sent(keys), [keyUnder(second)]);
    assert.equal(changes, 1);
  });
});
