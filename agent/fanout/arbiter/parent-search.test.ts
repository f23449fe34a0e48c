import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ArbiterFixture } from '../../testing/arbiter-fixture.ts';
import { BYTES_PER_LEVEL, CHAIN_OF_UNKNOWN_SIZE, MAX_CHAIN, ZONE_LEVELS } from './bounds.ts';

const SIZE = MAX_CHAIN * BYTES_PER_LEVEL;

/** A fetcher n0 and so many below it, as they are placed. */
function herdOf(count: number, size?: number): { fixture: ArbiterFixture; answers: string[] } {
  const fixture = new ArbiterFixture();
  const answers = Array.from({ length: count }, (_, index) =>
    fixture.ask(`n${index}`, size === undefined ? {} : { size }),
  );
  return { fixture, answers };
}

describe('ParentSearch', () => {
  it('makes a chain of those that come at once, and a second child from the top after its bound', () => {
    const { fixture, answers } = herdOf(MAX_CHAIN + 1, SIZE);
    assert.deepEqual(
      answers.slice(1),
      Array.from({ length: MAX_CHAIN }, (_, index) => `follow n${index}`),
    );
    assert.equal(fixture.ask('x', { size: SIZE }), 'follow n0');
    assert.equal(fixture.ask('y', { size: SIZE }), 'follow x');
  });

  it('makes a shorter chain while the size is unknown', () => {
    const { answers } = herdOf(CHAIN_OF_UNKNOWN_SIZE + 2);
    assert.equal(answers.at(-1), 'follow n0');
  });

  it('makes a flat tree for small content', () => {
    const { fixture, answers } = herdOf(12, 1);
    assert.deepEqual(answers.slice(1, 10), [...Array<string>(8).fill('follow n0'), 'follow n1']);
    for (let index = 0; index < 500; index += 1) fixture.ask(`m${index}`, { size: 1 });
    assert.ok((fixture.arbiter.status().latest[0]?.depth ?? 9) <= 3);
  });

  it('takes a place in the zone that is a few levels deeper, and not one that is deeper still', () => {
    for (const [levels, expected] of [
      [ZONE_LEVELS, 'follow z-last'],
      [ZONE_LEVELS + 1, 'follow free'],
    ] as const) {
      const fixture = new ArbiterFixture();
      fixture.ask('root', { size: SIZE, zone: 'y' });
      fixture.ask('free', { size: SIZE, zone: 'y' });
      let parent = 'root';
      // A line of the other zone, which reports whom it follows.
      for (let index = 0; index <= levels; index += 1) {
        const id = index === levels ? 'z-last' : `z${index}`;
        fixture.following(id, parent, {
          size: SIZE,
          zone: 'z',
          children: index === levels ? 0 : 8,
        });
        parent = id;
      }
      assert.equal(fixture.ask('new', { size: SIZE, zone: 'z' }), expected);
    }
  });

  it('lets a newcomer probe the deepest parent first, and the shallowest after a success', () => {
    const { fixture } = herdOf(40, SIZE);
    const report = (): void => {
      fixture.now += 300;
      fixture.fetching('n0', fixture.now, { children: 1, size: SIZE });
      for (let index = 1; index < 40; index += 1)
        fixture.following(`n${index}`, `n${index - 1}`, {
          children: index < 39 ? 1 : 0,
          size: SIZE,
        });
    };
    report();
    assert.equal(fixture.ask('x', { size: SIZE }), 'follow n38');
    assert.equal(fixture.ask('y', { size: SIZE }), 'follow n39', 'one probe at a time');
    fixture.following('n38', 'n37', { children: 2, size: SIZE });
    assert.equal(fixture.ask('z', { size: SIZE }), 'follow n0');
  });

  it('lets no newcomer probe for a while after one was too slow', () => {
    const { fixture } = herdOf(40, SIZE);
    fixture.now += 300;
    fixture.fetching('n0', 1, { children: 1, size: SIZE });
    fixture.following('n38', 'n37', { children: 1, size: SIZE });
    assert.equal(fixture.ask('x', { size: SIZE }), 'follow n38');
    assert.equal(fixture.ask('x', { size: SIZE, failed: ['n38'] }), 'follow n39');
    assert.equal(fixture.ask('y', { size: SIZE }), 'follow x');
  });

  it('puts a member that takes no child beside others, so that the chain goes on', () => {
    const { fixture } = herdOf(4, SIZE);
    assert.equal(fixture.ask('leaf', { size: SIZE, isRoomy: false }), 'follow n2');
    assert.equal(fixture.ask('next', { size: SIZE }), 'follow n3');
  });

  it('puts an orphan below the deepest parent with one child when no place is free', () => {
    const { fixture } = herdOf(MAX_CHAIN + 1, SIZE);
    assert.equal(fixture.ask('orphan', { size: SIZE, offset: 1 }), `follow n${MAX_CHAIN - 1}`);
  });

  it('names no parent that was not heard within three renewals', () => {
    const { fixture } = herdOf(3, SIZE);
    for (let index = 0; index < 16; index += 1) {
      fixture.now += 250;
      fixture.fetching('n0', index + 1, { children: 1, isRoomy: false, size: SIZE });
    }
    assert.equal(fixture.ask('x', { size: SIZE }), 'follow n0');
  });

  it('prefers a parent that is not behind an orphan', () => {
    const fixture = new ArbiterFixture({ fetchers: 2 });
    fixture.ask('behind', { size: SIZE });
    fixture.ask('ahead', { size: SIZE });
    fixture.fetching('ahead', 1_000, { size: SIZE });
    fixture.fetching('behind', 10, { size: SIZE });
    assert.equal(fixture.ask('x', { offset: 900, size: SIZE }), 'follow ahead');
  });
});
