import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { BoundedMap } from './bounded-map.ts';

describe('BoundedMap', () => {
  it('drops the entry that was set longest ago', () => {
    const map = new BoundedMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 2);
    map.set('a', 3);
    map.set('c', 4);
    assert.deepEqual(
      [...map.entries()],
      [
        ['a', 3],
        ['c', 4],
      ],
    );
    assert.equal(map.get('b'), undefined);
    assert.equal(map.has('a'), true);
  });

  it('does not take a read for a use', () => {
    const map = new BoundedMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 2);
    map.get('a');
    map.set('c', 3);
    assert.equal(map.has('a'), false);
  });

  it('holds the same entries in the same order as a map that looks for its oldest each time', () => {
    const operation = fc.record({ key: fc.integer({ min: 0, max: 12 }), isDelete: fc.boolean() });
    const operations = fc.array(operation, { maxLength: 400 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), operations, (max, all) => {
        const map = new BoundedMap<number, number>(max);
        const model = new Map<number, number>();
        for (const [index, { key, isDelete }] of all.entries()) {
          assert.equal(map.has(key), model.has(key));
          const deleted = model.delete(key);
          if (isDelete) assert.equal(map.delete(key), deleted);
          else {
            map.set(key, index);
            model.set(key, index);
            const [oldest] = model.keys();
            if (model.size > max && oldest !== undefined) model.delete(oldest);
          }
          assert.deepEqual([...map.entries()], [...model.entries()]);
          assert.equal(map.size, model.size);
        }
      }),
    );
  });
});
