import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { eventually } from '../../testing/eventually.ts';
import { RangeWindow, WindowBudget } from './range-window.ts';

const RANGE = { start: 4, end: 9 };

describe('WindowBudget', () => {
  it('has room for so many windows, and again when one is disposed of, however often', () => {
    const budget = new WindowBudget(2);
    const [one, other] = [budget.take(), budget.take()];
    assert.ok(one && other);
    assert.equal(budget.take(), undefined);
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    assert.ok(budget.take());
    assert.equal(budget.take(), undefined);
  });
});

describe('RangeWindow', () => {
  it('is read while it arrives', async () => {
    const more = Promise.withResolvers<undefined>();
    const slot = new WindowBudget(1).take();
    assert.ok(slot);
    using window = new RangeWindow(RANGE, slot, async function* (opened) {
      opened();
      yield Buffer.from('012');
      await more.promise;
      yield Buffer.from('345');
    });
    await eventually(() => {
      assert.equal(String(window.take()), '012');
    });
    assert.equal(window.state, 'open');
    assert.equal(window.take(), undefined);
    const { changed } = window;
    more.resolve(undefined);
    await changed;
    assert.equal(String(window.take()), '345');
    await eventually(() => {
      assert.equal(window.state, 'complete');
    });
  });

  it('fails with what came before', async () => {
    const slot = new WindowBudget(1).take();
    assert.ok(slot);
    using window = new RangeWindow(RANGE, slot, async function* (opened) {
      opened();
      yield await Promise.resolve(Buffer.from('0'));
      throw new Error('broke');
    });
    await eventually(() => {
      assert.equal(window.state, 'failed');
    });
    assert.equal(String(window.take()), '0');
  });

  it('ends its load and returns its room when it is disposed of', async () => {
    const budget = new WindowBudget(1);
    const slot = budget.take();
    assert.ok(slot);
    let ended: AbortSignal | undefined;
    const window = new RangeWindow(RANGE, slot, async function* (opened, signal) {
      ended = signal;
      opened();
      yield await Promise.resolve(Buffer.from('0'));
    });
    await eventually(() => {
      assert.equal(window.state, 'complete');
    });
    window[Symbol.dispose]();
    assert.ok(ended?.aborted);
    assert.equal(window.take(), undefined);
    assert.ok(budget.take());
  });
});
