import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { ParentWatch } from './parent-watch.ts';

const turn = (): Promise<void> => Promise.resolve();

function start(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const now = performance.now.bind(performance);
  let later = 0;
  t.mock.method(performance, 'now', () => now() + later);
  const pass = async (milliseconds: number): Promise<void> => {
    for (let passed = 0; passed < milliseconds; passed += 100) {
      later += 100;
      t.mock.timers.tick(100);
      await turn();
      await turn();
    }
  };
  const asked: PromiseWithResolvers<boolean>[] = [];
  const heard: boolean[] = [];
  const watch = new ParentWatch({
    isThere: () => {
      const question = Promise.withResolvers<boolean>();
      asked.push(question);
      return question.promise;
    },
    silence: { answers: (isThere) => heard.push(isThere) },
  });
  return { watch, asked, heard, pass };
}

describe('ParentWatch', () => {
  it('asks a silent peer, one question at a time, and again while it is silent', async (t) => {
    const { watch, asked, heard, pass } = start(t);
    await pass(500);
    assert.equal(asked.length, 0);
    await pass(2_000);
    assert.equal(asked.length, 1);
    asked[0]?.resolve(true);
    await turn();
    await pass(1_000);
    assert.deepEqual(heard, [true]);
    assert.equal(asked.length, 2);
    asked[1]?.resolve(false);
    await turn();
    assert.deepEqual(heard, [true, false]);
    watch[Symbol.dispose]();
  });

  it('asks nothing while bytes come, nor while none are waited for, nor at the end', async (t) => {
    const { watch, asked, pass } = start(t);
    for (let times = 0; times < 10; times += 1) {
      await pass(400);
      watch.arrived();
      watch.wait();
    }
    watch.arrived();
    await pass(5_000);
    watch.wait();
    watch[Symbol.dispose]();
    await pass(5_000);
    assert.equal(asked.length, 0);
  });

  it('does not heed an answer that comes after bytes', async (t) => {
    const { watch, asked, heard, pass } = start(t);
    await pass(1_000);
    watch.arrived();
    watch.wait();
    asked[0]?.resolve(false);
    await pass(100);
    assert.deepEqual(heard, []);
    watch[Symbol.dispose]();
  });
});
