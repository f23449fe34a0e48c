import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import { digestOf } from '../../testing/arbiter-fixture.ts';
import { ClientSlots, type Waiting } from './client-slots.ts';

const [A, B, C, D] = [digestOf(1), digestOf(2), digestOf(3), digestOf(4)] as const;

let now: number;
let slots: ClientSlots;
let cut: string[];

function start(t: TestContext): void {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  now = 0;
  slots = new ClientSlots(() => now);
  cut = [];
  t.after(() => {
    slots.stop();
  });
}

function begin(digest: typeof A): Waiting {
  return slots.begin(digest, () => cut.push(digest));
}

function pass({ mock }: TestContext, milliseconds: number): void {
  now += milliseconds;
  mock.timers.tick(milliseconds);
}

/** The client was sent upstream for one of three contents, and its place has gone to a fourth one. */
function takeAllPlaces(): Waiting[] {
  const sent = begin(A);
  const waiting = [begin(B), begin(C)];
  slots.sentUpstream(A);
  sent[Symbol.dispose]();
  waiting.push(begin(D));
  return waiting;
}

/**
 * Requests hold all places again and again, and are ended: first one of them, then two, then all. Other requests take the places
 * of those that are ended.
 */
function cutAll(t: TestContext): Waiting[] {
  const waiting = takeAllPlaces();
  for (const further of [[D], [C, D]]) {
    pass(t, 1_001);
    for (const each of waiting.splice(waiting.length - further.length)) each[Symbol.dispose]();
    waiting.push(...further.map((digest) => begin(digest)));
  }
  cut = [];
  pass(t, 1_001);
  return waiting;
}

describe('ClientSlots', () => {
  beforeEach((t) => {
    start(t as TestContext);
  });

  it('end the requests that hold all places while what was sent upstream does not begin', (t) => {
    const waiting = takeAllPlaces();
    pass(t, 249);
    assert.deepEqual(cut, []);
    pass(t, 752);
    assert.deepEqual(cut, [D], 'the latest');
    assert.deepEqual(
      waiting.map(({ signal }) => signal.aborted),
      [false, false, true],
    );
    assert.equal(slots.isCutting, false);
  });

  it('end two more when that did not help, then all', (t) => {
    const waiting = takeAllPlaces();
    pass(t, 1_001);
    waiting.pop()?.[Symbol.dispose]();
    pass(t, 2_000);
    assert.deepEqual(cut, [D], 'there is a place');
    waiting.push(begin(digestOf(5)));
    pass(t, 1_001);
    assert.deepEqual(cut, [D, digestOf(5), C]);
    for (const each of waiting.splice(1)) each[Symbol.dispose]();
    waiting.push(begin(digestOf(6)), begin(digestOf(7)));
    cut = [];
    pass(t, 1_001);
    assert.deepEqual(cut, [digestOf(7), digestOf(6), B]);
    assert.equal(slots.isCutting, true);
    slots.began(A);
    assert.equal(slots.isCutting, false, 'all that was sent upstream has begun');
  });

  it('let them wait again after ten seconds', (t) => {
    cutAll(t);
    pass(t, 9_000);
    assert.equal(slots.isCutting, true);
    pass(t, 1_001);
    assert.equal(slots.isCutting, false);
  });

  it('end no requests once more for what has not begun in the ten seconds in which it had a place', (t) => {
    for (const each of cutAll(t)) each[Symbol.dispose]();
    pass(t, 11_000);
    cut = [];
    const again = [begin(B), begin(C), begin(D)];
    pass(t, 2_000);
    assert.deepEqual(cut, [], 'it is without a place for another reason');
    slots.sentUpstream(A);
    pass(t, 1_001);
    assert.deepEqual(cut, [D], 'the client has asked for it once more');
    for (const each of again) each[Symbol.dispose]();
  });

  it('end them however long ago the client was sent upstream, where it had no place since', (t) => {
    const waiting = takeAllPlaces();
    slots.began(C);
    pass(t, 60_000);
    waiting[1]?.[Symbol.dispose]();
    cut = [];
    begin(digestOf(5));
    pass(t, 1_001);
    assert.deepEqual(cut, [digestOf(5)]);
  });

  it('end them for ten seconds, also when further ones are ended meanwhile', (t) => {
    cutAll(t);
    for (let passed = 0; passed < 8; passed += 1) {
      pass(t, 1_001);
      begin(digestOf(10 + passed));
    }
    pass(t, 1_001);
    assert.equal(slots.isCutting, true);
    pass(t, 1_001);
    assert.equal(slots.isCutting, false);
  });

  it('leave them alone while the client has a place that no request holds', (t) => {
    const sent = begin(A);
    begin(B);
    begin(C);
    slots.sentUpstream(A);
    sent[Symbol.dispose]();
    pass(t, 20_000);
    assert.deepEqual(cut, []);
  });

  it('take it for a client with three places, as containerd has by default, and not for one with fewer', (t) => {
    const sent = begin(A);
    slots.sentUpstream(A);
    sent[Symbol.dispose]();
    const waiting = [begin(B), begin(C)];
    pass(t, 20_000);
    assert.deepEqual(cut, []);
    waiting.push(begin(D));
    pass(t, 1_001);
    assert.deepEqual(cut, [D]);
  });

  it('leave them alone when one has bytes, or what was sent upstream has', (t) => {
    takeAllPlaces();
    slots.began(C);
    pass(t, 2_000);
    slots.sentUpstream(digestOf(5));
    slots.began(A);
    slots.began(digestOf(5));
    pass(t, 2_000);
    assert.deepEqual(cut, []);
  });

  it('learn that a client has more places, and forget it after a while', (t) => {
    const before = [begin(A), begin(B), begin(C), begin(D)];
    for (const each of before) each[Symbol.dispose]();
    const waiting = takeAllPlaces();
    pass(t, 2_000);
    assert.deepEqual(cut, [], 'it has four');
    for (const each of waiting) each[Symbol.dispose]();
    pass(t, 10_001);
    takeAllPlaces();
    pass(t, 1_001);
    assert.deepEqual(cut, [D]);
  });
});
