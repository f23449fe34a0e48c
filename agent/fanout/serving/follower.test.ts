import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { Follower } from './follower.ts';

const KIB = 1024;
const progress = (): never => {
  throw new Error('not asked here');
};

function make(range = { start: 0, end: 100_000 * KIB }): Follower {
  return new Follower({ progress, onLeave: () => undefined }, range);
}

describe('Follower', () => {
  it('keeps up while it is behind by less than 256 KiB, or than what arrived of late', () => {
    const follower = make();
    follower.check(255 * KIB, 1, 10);
    assert.equal(follower.keptUpSince, 10);
    follower.check(256 * KIB, 1, 20);
    assert.equal(follower.keptUpSince, undefined);
    follower.check(900 * KIB, 901 * KIB, 30);
    assert.equal(follower.keptUpSince, 30);
    follower.check(900 * KIB, 902 * KIB, 40);
    assert.equal(follower.keptUpSince, 30, 'since it began to');
  });

  it('counts what its connection has not sent as missing, and nothing beyond its range', () => {
    const follower = make({ start: 1_000 * KIB, end: 2_000 * KIB - 1 });
    follower.handed(1_000 * KIB);
    follower.check(9_000 * KIB, 1, 1);
    assert.equal(follower.keptUpSince, 1);
    assert.equal(follower.isAttached, false);
    const socket = new Socket();
    socket.cork();
    socket.write(Buffer.alloc(256 * KIB));
    assert.equal(socket.writableLength, 256 * KIB);
    follower.attach(socket);
    assert.equal(follower.isAttached, true);
    assert.equal(follower.address, undefined, 'a socket that is not connected');
    follower.check(9_000 * KIB, 1, 2);
    assert.equal(follower.keptUpSince, undefined);
  });

  it('falls behind while the download grows, unless it gains on that', () => {
    const follower = make();
    follower.check(10_000 * KIB, 1, 0);
    follower.check(10_000 * KIB, 1, 500);
    assert.ok(follower.isBehind(500, 500));
    assert.ok(!follower.isBehind(501, 500));
    follower.handed(300 * KIB);
    follower.check(10_000 * KIB, 1, 600);
    assert.ok(!follower.isBehind(500, 600), 'it has gained 300 KiB');
    follower.check(10_200 * KIB, 1, 1_100);
    assert.ok(follower.isBehind(500, 1_100));
    follower.check(10_200 * KIB, 0, 1_200);
    assert.ok(!follower.isBehind(500, 1_200), 'nothing arrives');
    follower.check(10_200 * KIB, 1, 1_300);
    follower.check(10_200 * KIB, 1, 1_900);
    assert.ok(follower.isBehind(500, 1_900));
    follower.forgive();
    assert.ok(!follower.isBehind(500, 1_900));
  });

  it('is beyond what is there when it had got more before the download was asked', () => {
    const follower = make({ start: 10, end: 100 });
    follower.mark();
    assert.ok(!follower.isBeyond(5), 'it waits for its first byte');
    follower.handed(10);
    assert.ok(!follower.isBeyond(5));
    follower.mark();
    assert.ok(!follower.isBeyond(20));
    assert.ok(follower.isBeyond(19));
  });

  it('ends with a reason, and reports that it has left', () => {
    const left: Follower[] = [];
    const follower = new Follower(
      { progress, onLeave: (one) => left.push(one) },
      { start: 0, end: 1 },
    );
    const reason = new Error('enough');
    follower.end(reason);
    assert.equal(follower.ended.reason, reason);
    follower[Symbol.dispose]();
    assert.deepEqual(left, [follower]);
  });
});
