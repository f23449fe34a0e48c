import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { sha256 } from '../../../testing/image.ts';
import { BLOCK_BYTES } from './blocks.ts';
import { Tails } from './tails.ts';

const BYTES = randomBytes(8 * BLOCK_BYTES);
const DIGEST = sha256(BYTES);
const TAIL = 2 * BLOCK_BYTES;

function digestOf(index: number): typeof DIGEST {
  return sha256(Buffer.from([index]));
}

describe('Tails', () => {
  it('wants bytes only while the content has followers, and keeps no memory afterwards', () => {
    const tails = new Tails({ earlyBytes: 0 });
    const feed = tails.begin(DIGEST);
    assert.equal(feed.isWanted, false);
    feed.append(0, BYTES);
    assert.equal(tails.bytes, 0);
    const [reader, other] = [tails.follow(DIGEST), tails.follow(DIGEST)];
    assert.equal(feed.isWanted, true);
    feed.append(0, BYTES.subarray(0, 10));
    assert.ok(reader.read(0, 10)?.bytes.equals(BYTES.subarray(0, 10)));
    assert.ok(other.read(5, 10)?.bytes.equals(BYTES.subarray(5, 10)));
    assert.equal(reader.end, 10);
    reader[Symbol.dispose]();
    reader[Symbol.dispose]();
    assert.equal(tails.bytes, BLOCK_BYTES);
    other[Symbol.dispose]();
    assert.equal(tails.bytes, 0);
    assert.equal(feed.isWanted, false);
  });

  it('stays within its memory with many blobs, and then wants no more of them', () => {
    const tails = new Tails({ tailBytes: TAIL, maxBytes: 3 * TAIL, earlyBytes: 0 });
    const blobs = Array.from({ length: 10 }, (_, index) => ({
      feed: tails.begin(digestOf(index)),
      reader: tails.follow(digestOf(index)),
    }));
    for (let at = 0; at < BYTES.length; at += 1_000) {
      for (const { feed } of blobs) {
        if (feed.isWanted) feed.append(at, BYTES.subarray(at, at + 1_000));
      }
      assert.ok(tails.bytes <= 3 * TAIL);
    }
    assert.deepEqual(
      blobs.map(({ feed }) => feed.isWanted),
      blobs.map((_, index) => index < 3),
    );
    blobs[0]?.reader[Symbol.dispose]();
    assert.equal(blobs[9]?.feed.isWanted, true);
    blobs[9].feed.append(7, BYTES);
    assert.equal(blobs[9].reader.end, BYTES.length + 7);
    assert.equal(blobs[8]?.feed.isWanted, false);
    assert.equal(tails.bytes, 3 * TAIL);
    for (const { reader } of blobs) reader[Symbol.dispose]();
    assert.equal(tails.bytes, 0);
  });

  it('keeps the first bytes of a body for followers that come soon', () => {
    const tails = new Tails({ earlyBytes: 1_000 });
    const feed = tails.begin(DIGEST);
    feed.append(0, BYTES.subarray(0, 600));
    const soon = tails.follow(DIGEST);
    assert.ok(soon.read(0, 1_000)?.bytes.equals(BYTES.subarray(0, 600)));
    feed.append(600, BYTES.subarray(600, 3_000));
    assert.ok(soon.read(0, 3_000)?.bytes.equals(BYTES.subarray(0, 3_000)));
    soon[Symbol.dispose]();
    assert.deepEqual([tails.bytes, feed.isWanted], [0, false]);
  });

  it('keeps them when a follower has left, until it has all of them or the body has ended', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const tails = new Tails({ earlyBytes: 1_000, keepMs: 2_000 });
    const [long, short] = [tails.begin(DIGEST), tails.begin(digestOf(1))];
    for (const feed of [long, short]) feed.append(0, BYTES.subarray(0, 600));
    for (const digest of [DIGEST, digestOf(1)]) tails.follow(digest)[Symbol.dispose]();
    {
      using next = tails.follow(DIGEST);
      assert.ok(next.read(0, 1_000)?.bytes.equals(BYTES.subarray(0, 600)));
    }
    long.append(600, BYTES.subarray(600, 1_000));
    assert.equal(tails.bytes, BLOCK_BYTES, 'that of the other one');
    short[Symbol.dispose]();
    tails.follow(digestOf(1))[Symbol.dispose]();
    t.mock.timers.tick(1_999);
    assert.equal(tails.bytes, BLOCK_BYTES);
    t.mock.timers.tick(1);
    assert.equal(tails.bytes, 0);
  });

  it('gives their memory back without followers: behind those bytes, and a while after the body', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const tails = new Tails({ earlyBytes: 1_000, keepMs: 2_000 });
    const [long, short] = [tails.begin(DIGEST), tails.begin(digestOf(1))];
    long.append(0, BYTES.subarray(0, 600));
    assert.equal(tails.bytes, BLOCK_BYTES);
    long.append(600, BYTES.subarray(600, 1_000));
    assert.deepEqual([tails.bytes, long.isWanted], [0, false]);
    short.append(0, BYTES.subarray(0, 600));
    short[Symbol.dispose]();
    t.mock.timers.tick(1_999);
    assert.equal(tails.bytes, BLOCK_BYTES);
    t.mock.timers.tick(1);
    assert.equal(tails.bytes, 0);
    // A body of which nothing is forwarded needs none.
    tails.begin(digestOf(2));
    assert.equal(tails.bytes, 0);
  });

  it('leaves the memory to blobs with followers', () => {
    const tails = new Tails({ tailBytes: TAIL, maxBytes: 2 * TAIL });
    const feeds = Array.from({ length: 3 }, (_, index) => tails.begin(digestOf(index)));
    const [first, second, third] = feeds;
    for (const feed of feeds) feed.append(0, BYTES.subarray(0, 10));
    assert.deepEqual(
      feeds.map(({ isWanted }) => isWanted),
      [true, true, false],
    );
    using followed = tails.follow(digestOf(2));
    assert.equal(third?.isWanted, true);
    third.append(0, BYTES.subarray(0, 10));
    assert.equal(followed.end, 10);
    assert.deepEqual([first?.isWanted, second?.isWanted], [false, true]);
    using other = tails.follow(digestOf(0));
    first?.append(10, BYTES.subarray(10, 20));
    assert.equal(other.end, 20);
    assert.equal(second?.isWanted, false);
    assert.equal(tails.bytes, 2 * BLOCK_BYTES);
  });

  it('is fed by one body at a time, and goes on with the next one', () => {
    const tails = new Tails();
    using reader = tails.follow(DIGEST);
    const [first, second] = [tails.begin(DIGEST), tails.begin(DIGEST)];
    first.append(0, BYTES.subarray(0, 10));
    assert.equal(second.isWanted, false);
    second.append(5_000, BYTES.subarray(5_000, 5_010));
    assert.equal(reader.end, 10);
    first[Symbol.dispose]();
    second.append(10, BYTES.subarray(10, 30));
    second[Symbol.dispose]();
    assert.ok(reader.read(0, 30)?.bytes.equals(BYTES.subarray(0, 30)));
    assert.equal(reader.isOver, false);
  });

  it('keeps the bytes for a while when the body has ended', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const tails = new Tails({ keepMs: 2_000 });
    using reader = tails.follow(DIGEST);
    const feed = tails.begin(DIGEST);
    feed.append(0, BYTES);
    feed[Symbol.dispose]();
    t.mock.timers.tick(1_999);
    assert.equal(reader.end, BYTES.length);
    t.mock.timers.tick(1);
    assert.deepEqual([reader.end, tails.bytes, reader.isOver], [0, 0, true]);
  });

  it('keeps them as long as another body goes on', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const tails = new Tails({ keepMs: 2_000 });
    using reader = tails.follow(DIGEST);
    const feed = tails.begin(DIGEST);
    feed.append(0, BYTES.subarray(0, 10));
    feed[Symbol.dispose]();
    tails.begin(DIGEST).append(10, BYTES.subarray(10, 20));
    t.mock.timers.tick(2_000);
    assert.equal(reader.end, 20);
  });

  it('ends for those who have read it when a body goes back, and not for later ones', async () => {
    const tails = new Tails();
    using before = tails.follow(DIGEST);
    const feed = tails.begin(DIGEST);
    feed.append(10, BYTES.subarray(10, 1_000));
    const change = before.change();
    feed.append(0, BYTES.subarray(0, 500));
    await change;
    assert.equal(before.isOver, true);
    assert.equal(before.read(20, 30), undefined);
    using after = tails.follow(DIGEST);
    assert.ok(after.read(20, 30)?.bytes.equals(BYTES.subarray(20, 30)));
  });
});
