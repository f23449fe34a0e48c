import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Decision } from '../question.ts';
import { firstAnswer as ask, type AskOne } from './first-answer.ts';

const { signal } = new AbortController();
const FETCH: Decision = { kind: 'fetch', renewMs: 1 };
const ALONE: Decision = { kind: 'alone', forMs: 5 };
const GO_ON: Decision = { kind: 'go-on', renewMs: 2 };
const HELD: Decision = { kind: 'held', holders: [] };
const FOLLOW: Decision = { kind: 'follow', renewMs: 3, parent: { peerId: 'a', origins: [] } };

const firstAnswer = (
  first: AskOne,
  second: AskOne | undefined,
  until: AbortSignal,
  withinMs = 150,
): Promise<Decision | undefined> => ask(first, second, until, { withinMs });
const answers = (decision: Decision) => () => Promise.resolve(decision);
const hangs = () => new Promise<never>(() => undefined);
const fails = () => Promise.reject(new Error('dead'));

/** Counts the calls. */
function counted(ask: () => Promise<Decision>): { calls: number; ask: () => Promise<Decision> } {
  const counter = {
    calls: 0,
    ask: () => {
      counter.calls += 1;
      return ask();
    },
  };
  return counter;
}

describe('firstAnswer', () => {
  it('is that of the first, whatever it is, and the second is not asked', async () => {
    for (const decision of [FETCH, ALONE, GO_ON, HELD, FOLLOW]) {
      const second = counted(answers(FOLLOW));
      assert.equal(await firstAnswer(answers(decision), second.ask, signal), decision);
      assert.equal(second.calls, 0);
    }
  });

  it('is that of the second when the first has failed', async () => {
    for (const decision of [FETCH, ALONE, GO_ON, HELD, FOLLOW]) {
      assert.equal(await firstAnswer(fails, answers(decision), signal), decision);
    }
  });

  it('is that of the second only when the first has been silent to the end', async () => {
    for (const decision of [FETCH, ALONE, GO_ON, HELD, FOLLOW]) {
      const start = performance.now();
      assert.equal(await firstAnswer(hangs, answers(decision), signal), decision);
      assert.ok(performance.now() - start >= 149);
    }
  });

  it('is one of the second at once where the caller says that it counts', async () => {
    const waits = { withinMs: 300_000, countsAtOnce: ({ kind }: Decision) => kind === 'follow' };
    assert.equal(await ask(hangs, answers(FOLLOW), signal, waits), FOLLOW);
    const late = Promise.withResolvers<Decision>();
    const second = () => {
      setImmediate(() => {
        late.resolve(ALONE);
      });
      return Promise.resolve(FETCH);
    };
    assert.equal(await ask(() => late.promise, second, signal, waits), ALONE);
  });

  it('asks both at once where the first was late the last time, and waits for the first all the same', async () => {
    const first = Promise.withResolvers<Decision>();
    const asked: string[] = [];
    const firstAsked = () => {
      asked.push('first');
      return first.promise;
    };
    const secondAsked = () => {
      asked.push('second');
      return Promise.resolve(FETCH);
    };
    const answer = ask(firstAsked, secondAsked, signal, { withinMs: 60_000, asksBoth: true });
    await nextTurn();
    assert.deepEqual(asked, ['first', 'second']);
    first.resolve(FOLLOW);
    assert.equal(await answer, FOLLOW);
  });

  it('is that of the first, which comes after one of the second', async () => {
    for (const early of [FETCH, FOLLOW]) {
      const first = Promise.withResolvers<Decision>();
      const second = () => {
        setImmediate(() => {
          first.resolve(HELD);
        });
        return Promise.resolve(early);
      };
      assert.equal(await firstAnswer(() => first.promise, second, signal), HELD);
    }
  });

  it('is one to go upstream of the second as soon as the first fails after it', async () => {
    const first = Promise.withResolvers<Decision>();
    const second = () => {
      setImmediate(() => {
        first.reject(new Error('dead'));
      });
      return Promise.resolve(FETCH);
    };
    assert.equal(await firstAnswer(() => first.promise, second, signal), FETCH);
  });

  it('is none when neither answers, or both fail, or the only one does', async () => {
    for (const first of [hangs, fails]) {
      for (const second of [hangs, fails, undefined]) {
        assert.equal(await firstAnswer(first, second, signal), undefined);
      }
    }
  });

  it('is none as soon as the signal is aborted', async () => {
    const abort = new AbortController();
    const second = counted(answers(FOLLOW));
    const asked = firstAnswer(hangs, second.ask, abort.signal);
    abort.abort();
    assert.equal(await asked, undefined);
    assert.equal(second.calls, 0);
    assert.equal(await firstAnswer(hangs, second.ask, abort.signal), undefined);
  });

  it('is that of the second too when the time is short', async () => {
    assert.equal(await firstAnswer(hangs, answers(FETCH), signal, 0), FETCH);
  });
});
