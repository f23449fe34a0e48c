import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, it, type TestContext } from 'node:test';

import { WrongBodyError } from '../../streams/wrong-body-error.ts';
import { ABSENT } from '../../testing/conformance/content-store.ts';
import { sha256 } from '../../testing/image.ts';
import { DownloadFollowers, type DownloadFollowersInit } from './followers.ts';
import type { Follower } from './follower.ts';

const MIB = 1024 * 1024;
const RANGE = { start: 0, end: 1_000 * MIB };
const OTHER = sha256(Buffer.from('another layer'));

class Stage {
  readonly t: TestContext;
  readonly followers: DownloadFollowers;
  now = 0;
  offset = 0;

  constructor(t: TestContext, init?: DownloadFollowersInit) {
    t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
    this.t = t;
    this.followers = new DownloadFollowers({ now: () => this.now }, init);
  }

  admit(digest = ABSENT): Follower | undefined {
    const progress = () =>
      Promise.resolve({ offset: this.offset, total: 1_000 * MIB, state: 'arriving' as const });
    return this.followers.admit(digest, RANGE, progress);
  }

  /** Lets time pass. The downloads grow by 1 MiB each 50 ms, of which each of these takes its share. */
  async pass(milliseconds: number, ...takers: readonly (readonly [Follower, number])[]) {
    for (let passed = 0; passed < milliseconds; passed += 50) {
      this.now += 50;
      this.offset += MIB;
      for (const [follower, share] of takers) follower.handed(share * MIB);
      this.t.mock.timers.tick(50);
      await turn();
    }
  }
}

function admitted(follower: Follower | undefined): Follower {
  assert.ok(follower !== undefined);
  return follower;
}

describe('DownloadFollowers', () => {
  it('has room for the first at once, and for one more when it has kept up for 250 ms', async (t) => {
    const stage = new Stage(t);
    assert.deepEqual(stage.followers.state(ABSENT), { children: 0, isRoomy: true });
    const first = admitted(stage.admit());
    assert.deepEqual(stage.followers.state(ABSENT), { children: 1, isRoomy: false });
    assert.deepEqual(stage.followers.state(OTHER), { children: 0, isRoomy: true });
    await stage.pass(200, [first, 1]);
    assert.equal(stage.followers.state(ABSENT).isRoomy, false);
    await stage.pass(100, [first, 1]);
    assert.deepEqual(stage.followers.state(ABSENT), { children: 1, isRoomy: true });
    admitted(stage.admit());
    assert.deepEqual(stage.followers.state(ABSENT), { children: 2, isRoomy: false });
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    assert.equal(stage.followers.state(ABSENT).children, 1);
  });

  it('admits eight of a digest, and a bounded number of all together', async (t) => {
    const stage = new Stage(t, { max: 9 });
    const takers: (readonly [Follower, number])[] = [];
    for (let count = 0; count < 8; count += 1) {
      const follower = admitted(stage.admit());
      follower.handed(stage.offset);
      takers.push([follower, 1]);
      await stage.pass(350, ...takers);
    }
    assert.deepEqual(stage.followers.state(ABSENT), { children: 8, isRoomy: false });
    assert.equal(stage.admit(), undefined);
    const other = admitted(stage.admit(OTHER));
    assert.equal(stage.admit(sha256(Buffer.from('third'))), undefined);
    other[Symbol.dispose]();
    admitted(stage.admit(OTHER));
  });

  it('ends the last when two fall behind, and takes no more of all digests for a minute', async (t) => {
    const stage = new Stage(t);
    const other = admitted(stage.admit(OTHER));
    const first = admitted(stage.admit());
    await stage.pass(400, [first, 1], [other, 1]);
    const second = admitted(stage.admit());
    await stage.pass(1_500, [first, 0.4], [second, 0.4], [other, 1]);
    const catchUp = stage.offset - 8 * MIB - 30 * 0.4 * MIB;
    assert.ok(!first.ended.aborted);
    assert.match(String(second.ended.reason), /do not keep up/);
    second[Symbol.dispose]();
    first.handed(catchUp);
    await stage.pass(1_000, [first, 1], [other, 1]);
    assert.deepEqual(stage.followers.state(ABSENT), { children: 1, isRoomy: false });
    other[Symbol.dispose]();
    assert.ok(stage.followers.state(ABSENT).isRoomy, 'the link has room for two in all');
    admitted(stage.admit(OTHER));
    assert.ok(!stage.followers.state(ABSENT).isRoomy);
    await stage.pass(60_000, [first, 1]);
    assert.ok(stage.followers.state(ABSENT).isRoomy, 'after a minute');
  });

  it('leaves a follower alone that is slow where the others keep up', async (t) => {
    const stage = new Stage(t);
    const first = admitted(stage.admit());
    await stage.pass(400, [first, 1]);
    const slow = admitted(stage.admit());
    await stage.pass(3_000, [first, 1], [slow, 0]);
    assert.ok(!first.ended.aborted && !slow.ended.aborted);
    assert.ok(!stage.followers.state(ABSENT).isRoomy);
  });

  it('resets all followers of wrong content, and admits none for a minute', async (t) => {
    const stage = new Stage(t);
    const [wrong, other] = [admitted(stage.admit()), admitted(stage.admit(OTHER))];
    stage.followers.markWrong(ABSENT);
    assert.ok(wrong.ended.reason instanceof WrongBodyError);
    assert.ok(!other.ended.aborted);
    wrong[Symbol.dispose]();
    assert.deepEqual(stage.followers.state(ABSENT), { children: 0, isRoomy: false });
    assert.ok(stage.followers.isWrong(ABSENT) && !stage.followers.isWrong(OTHER));
    assert.equal(stage.admit(), undefined);
    await stage.pass(60_000);
    assert.ok(!stage.followers.isWrong(ABSENT));
    admitted(stage.admit());
  });

  it('tells listeners what has changed, and looks at followers only while there are some', async (t) => {
    const stage = new Stage(t);
    const notices: unknown[] = [];
    stage.followers.onChange((digest) => notices.push(stage.followers.state(digest)));
    const follower = admitted(stage.admit());
    await stage.pass(1_000, [follower, 1]);
    follower[Symbol.dispose]();
    await stage.pass(1_000);
    assert.deepEqual(notices, [
      { children: 1, isRoomy: false },
      { children: 1, isRoomy: true },
      { children: 0, isRoomy: true },
    ]);
  });

  it('ends all when it is closed, and admits none', (t) => {
    const stage = new Stage(t);
    const follower = admitted(stage.admit());
    stage.followers.close();
    assert.match(String(follower.ended.reason), /agent ends/);
    assert.equal(stage.admit(OTHER), undefined);
  });
});
