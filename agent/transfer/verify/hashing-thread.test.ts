import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';

import { eventually } from '../../testing/eventually.ts';
import type { Answer } from './hashing-program.ts';
import { HashingThread } from './hashing-thread.ts';

function start(t: TestContext, idleMs?: number): HashingThread {
  const thread = new HashingThread(idleMs);
  t.after(() => {
    thread.stop();
  });
  return thread;
}

/** Opens a line to the thread; what it answers, and why it was lost. */
function listen(thread: HashingThread) {
  const answers: Answer[] = [];
  const lost: unknown[] = [];
  const line = thread.open({
    answered: (answer) => answers.push(answer),
    lost: (error) => lost.push(error),
  });
  const passed = new Int32Array(new SharedArrayBuffer(4));
  line.tell({ kind: 'begin', algorithm: 'sha256', passed });
  return { line, answers, lost };
}

describe('HashingThread', () => {
  it('is started for large bodies only, and hashes any once it runs', async (t) => {
    const thread = start(t);
    assert.deepEqual([thread.isUp, thread.isWorthwhile(33_554_431)], [false, false]);
    assert.equal(thread.isWorthwhile(33_554_432), true);
    const { line, answers } = listen(thread);
    assert.deepEqual([thread.isUp, thread.isWorthwhile(1)], [true, true]);
    line.tell({ kind: 'bytes', bytes: Buffer.from('body') });
    line.tell({ kind: 'digest', passed: 0 });
    const hex = createHash('sha256').update('body').digest('hex');
    await eventually(() => {
      assert.deepEqual(answers, [{ kind: 'taken' }, { kind: 'digest', hex, shares: [] }]);
    });
  });

  it('answers each body on its own line', async (t) => {
    const thread = start(t);
    const [one, other] = [listen(thread), listen(thread)];
    other.line.tell({ kind: 'bytes', bytes: Buffer.from('other') });
    await eventually(() => {
      assert.equal(other.answers.length, 1);
    });
    assert.deepEqual(one.answers, []);
  });

  it('ends when no line is open for a while, and starts again', async (t) => {
    const thread = start(t, 20);
    const [one, other] = [listen(thread), listen(thread)];
    one.line.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(thread.isUp, true, 'one line is open');
    other.line.close();
    await eventually(() => {
      assert.equal(thread.isUp, false);
    });
    assert.deepEqual([...one.lost, ...other.lost], []);
    const again = listen(thread);
    again.line.tell({ kind: 'drop' });
    await eventually(() => {
      assert.deepEqual(again.answers, [{ kind: 'dropped' }]);
    });
  });

  it('tells all open lines when it ends by itself', async (t) => {
    const thread = start(t);
    const { line, lost } = listen(thread);
    line.tell({ kind: 'bytes', bytes: Buffer.from('x') });
    thread.stop();
    await eventually(() => {
      assert.match(String(lost[0]), /thread has ended/);
    });
    assert.equal(thread.isUp, false);
  });
});
