import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { KnownProviders } from './known-providers.ts';

/** How many of these a peer may introduce. */
function introduce(providers: KnownProviders, count: number, by: string): number {
  const names = Array.from({ length: count }, (_, at) => `${by} ${String(at)}`);
  return names.filter((name) => providers.introduce(name, by) !== undefined).length;
}

describe('KnownProviders', () => {
  it('takes half as many providers from one peer as there are nodes, and twice as many in all', () => {
    const providers = new KnownProviders(() => 1000);
    assert.equal(introduce(providers, 2000, 'a'), 500);
    const others = ['b', 'c', 'd', 'e'].map((by) => introduce(providers, 2000, by));
    assert.deepEqual(others, [500, 500, 500, 0]);
  });

  it('takes a hundred from one peer where there are few nodes', () => {
    assert.equal(introduce(new KnownProviders(() => 3), 200, 'a'), 100);
  });

  it('takes a provider that speaks for itself, and knows one that was introduced already', () => {
    const providers = new KnownProviders(() => 3);
    introduce(providers, 200, 'a');
    const itself = providers.introduce('itself', 'itself');
    assert.ok(itself);
    assert.equal(providers.introduce('itself', 'a'), itself);
  });

  it('forgets those without announcements, which makes room for others of that peer', () => {
    const providers = new KnownProviders(() => 3);
    introduce(providers, 100, 'a');
    providers.get('a 1')?.ids.add('announcement');
    providers.sweep((peerId) => peerId === 'a 2');
    const kept = ['a 0', 'a 1', 'a 2'].map((peerId) => providers.get(peerId) !== undefined);
    assert.deepEqual(kept, [false, true, true]);
    assert.equal(introduce(providers, 200, 'a'), 100);
  });
});
