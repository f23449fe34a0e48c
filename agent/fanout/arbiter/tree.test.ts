import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ArbiterFixture } from '../../testing/arbiter-fixture.ts';
import { ASSIGNED_MS, MAX_FAN_OUT } from './bounds.ts';

/** Members a to the last one in a chain, each with a report. */
function chainOf(ids: readonly string[]): ArbiterFixture {
  const fixture = new ArbiterFixture();
  for (const [index, id] of ids.entries())
    assert.equal(fixture.ask(id), index === 0 ? 'fetch' : `follow ${ids[index - 1] ?? ''}`);
  for (const [index, id] of ids.entries()) {
    const children = index === ids.length - 1 ? 0 : 1;
    const fields = { offset: 100, children, isRoomy: children === 0 };
    if (index === 0) fixture.fetching(id, 100, fields);
    else fixture.following(id, ids[index - 1] ?? '', fields);
  }
  return fixture;
}

describe('Tree', () => {
  it('counts the children that it has assigned until the parent reports them', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    assert.equal(fixture.ask('b'), 'follow a');
    // The report is older than the assignment.
    fixture.fetching('a', 1, { children: 0 });
    assert.equal(fixture.ask('c'), 'follow b');
  });

  it('takes a parent as free again when an assigned child never came', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a');
    fixture.ask('b');
    for (let passed = 0; passed <= ASSIGNED_MS; passed += 250) {
      fixture.now += 250;
      fixture.fetching('a', passed + 1, { children: 0 });
    }
    assert.equal(fixture.ask('c'), 'follow a');
  });

  it('never names a parent that failed, the asker itself, or one below it', () => {
    const fixture = chainOf(['a', 'b', 'c', 'd']);
    // All that is left are its own followers: it takes the place of the fetcher.
    assert.equal(fixture.ask('b', { offset: 100, failed: ['a'], children: 1 }), 'fetch');
    assert.equal(fixture.ask('new', { failed: ['d', 'c'] }), 'follow b');
  });

  it('gives a member the same parent when its answer was lost, also when others follow it by then', () => {
    const fixture = new ArbiterFixture();
    for (const id of ['a', 'b', 'c', 'd']) fixture.ask(id);
    assert.equal(fixture.ask('c'), 'follow b');
    assert.equal(fixture.ask('c', { failed: ['a'] }), 'follow b');
    assert.equal(fixture.ask('new'), 'follow d');
    fixture.fetching('a', 1, { children: 1 });
    assert.equal(fixture.ask('c', { failed: ['b'] }), 'follow a');
  });

  it('gives another one when the first takes no followers any more, or has nothing above it', () => {
    const fixture = new ArbiterFixture();
    for (const id of ['a', 'b', 'c']) fixture.ask(id);
    fixture.following('b', 'a', { children: 0, isRoomy: false });
    assert.notEqual(fixture.ask('c'), 'follow b');
    const other = new ArbiterFixture();
    for (const id of ['a', 'b', 'c']) other.ask(id);
    other.ask('a', { state: 'failed' });
    assert.equal(other.ask('c'), 'fetch');
  });

  it('gives an orphan the place of its parent', () => {
    const fixture = chainOf(['a', 'b', 'c', 'd']);
    assert.equal(fixture.ask('c', { offset: 100, failed: ['b'], children: 1 }), 'follow a');
    // The one above failed as well.
    const longer = chainOf(['a', 'b', 'c', 'd', 'e']);
    assert.equal(longer.ask('d', { offset: 100, failed: ['b', 'c'], children: 1 }), 'follow a');
  });

  it('does not give it to the last child of several: the parent may have ended it', () => {
    const fixture = chainOf(['a', 'b', 'c']);
    // The fetcher has room for a second child, and is the only one that has.
    fixture.fetching('a', 100, { children: 1, isRoomy: true });
    fixture.following('b', 'a', { children: 1, isRoomy: false });
    assert.equal(fixture.ask('d', { failed: ['c', 'b'] }), 'follow a');
    assert.equal(fixture.ask('d', { failed: ['a', 'b'] }), 'follow c');
  });

  it('keeps the tree when all fall silent because the fetcher has stalled: only its child gets another place', () => {
    const fixture = chainOf(['a', 'b', 'c', 'd']);
    for (let index = 0; index < 5; index += 1) {
      fixture.now += 250;
      fixture.fetching('a', 100, { children: 1, isRoomy: false });
    }
    const ask = (id: string, parent: string): string =>
      fixture.ask(id, { offset: 100, failed: [parent], children: id === 'd' ? 0 : 1 });
    assert.equal(ask('d', 'c'), 'follow c');
    assert.equal(ask('b', 'a'), 'fetch');
    assert.equal(ask('c', 'b'), 'follow b');
    // Its parent does refuse it.
    assert.notEqual(ask('d', 'c'), 'follow c');
  });

  it('gives another parent where the fetcher only has not written its next step yet: on a thin link that takes longer than it is quiet', () => {
    const fixture = chainOf(['a', 'b', 'c', 'd']);
    for (let step = 1; step <= 3; step += 1) {
      fixture.now += 1_000;
      fixture.fetching('a', 100 + step * 100, { children: 1, isRoomy: false });
      fixture.following('b', 'a', { offset: step * 100, children: 1, isRoomy: false });
    }
    fixture.now += 900;
    fixture.fetching('a', 400, { children: 1, isRoomy: false });
    assert.equal(fixture.ask('c', { offset: 100, failed: ['b'], children: 1 }), 'follow a');
  });

  it('keeps those below a member that has just got another parent', () => {
    const fixture = chainOf(['a', 'b', 'c', 'd']);
    assert.equal(fixture.ask('c', { offset: 100, failed: ['b'], children: 1 }), 'follow a');
    assert.equal(fixture.ask('d', { offset: 100, failed: ['c'] }), 'follow c');
  });

  it('gives no child to a parent that one child named and that was not heard since', () => {
    const fixture = chainOf(['a', 'b', 'c']);
    assert.equal(fixture.ask('c', { offset: 100, failed: ['b'] }), 'follow a');
    assert.equal(fixture.ask('d'), 'follow c');
    fixture.now += 1;
    fixture.following('b', 'a');
    assert.equal(fixture.ask('e'), 'follow b');
  });

  it('gives no child to one that two named, until it says that it is roomy', () => {
    const fixture = chainOf(['a', 'b', 'c']);
    for (const id of ['c', 'd']) {
      fixture.ask(id, { failed: ['b'] });
      fixture.now += 1;
      fixture.following('b', 'a', { children: 1, isRoomy: false });
      if (id === 'c') fixture.following('d', 'b');
    }
    fixture.ask('d', { failed: ['b'] });
    fixture.now += 1;
    fixture.following('b', 'a', { children: 1, isRoomy: false });
    assert.notEqual(fixture.ask('e', { failed: ['a', 'c', 'd'] }), 'follow b');
    fixture.following('b', 'a', { children: 0, isRoomy: true });
    assert.equal(fixture.ask('f', { failed: ['a', 'c', 'd', 'e'] }), 'follow b');
  });

  it('makes no edge from a report that would close a cycle', () => {
    const fixture = chainOf(['a', 'b', 'c']);
    fixture.following('b', 'c');
    // b is cut off for the arbiter, and so is c below it.
    assert.equal(fixture.ask('d', { failed: ['a'] }), 'fetch');
  });

  it('never has more than the bound of children below one parent', () => {
    const fixture = new ArbiterFixture();
    fixture.ask('a', { size: 1 });
    const children = new Map<string, number>();
    for (let index = 0; index < 500; index += 1) {
      const answer = fixture.ask(`n${index}`, { size: 1 });
      children.set(answer, (children.get(answer) ?? 0) + 1);
    }
    assert.ok([...children.values()].every((count) => count <= MAX_FAN_OUT));
    assert.equal(children.get('follow a'), MAX_FAN_OUT);
  });
});
