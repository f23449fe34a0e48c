import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StallMeter } from './stall-meter.ts';

const KIB = 1024;

/** A meter whose clock the test moves. */
function startMeter() {
  let now = 5_000;
  const meter = new StallMeter(() => now);
  return {
    meter,
    pass: (milliseconds: number): void => {
      now += milliseconds;
    },
    /** Waits for bytes, and takes no time to hand them on. */
    receive: (bytes: number, milliseconds: number): void => {
      meter.wait();
      now += milliseconds;
      meter.arrived(bytes);
    },
  };
}

describe('StallMeter', () => {
  it('reports a stall when less than 64 KiB arrived in more than 10 s of waiting', () => {
    const { meter, receive } = startMeter();
    receive(64 * KIB - 1, 10_000);
    assert.equal(meter.check(), undefined, 'the window is not over yet');
    receive(0, 1);
    assert.deepEqual(meter.check(), { bytes: 64 * KIB - 1, milliseconds: 10_001 });
  });

  it('accepts 64 KiB in the window', () => {
    const { meter, receive } = startMeter();
    receive(60 * KIB, 6_000);
    receive(4 * KIB, 6_000);
    assert.equal(meter.check(), undefined);
  });

  it('does not count the time in which the client takes the bytes', () => {
    const { meter, pass, receive } = startMeter();
    for (let chunk = 0; chunk < 100; chunk += 1) {
      receive(100, 100);
      pass(60_000);
    }
    assert.equal(meter.check(), undefined);
    assert.equal(meter.totalMs, 10_000);
    receive(100, 1);
    assert.equal(meter.check()?.bytes, 10_100);
  });

  it('measures every window from its own start', () => {
    const { meter, receive } = startMeter();
    receive(100 * KIB * KIB, 10_001);
    assert.equal(meter.check(), undefined);
    receive(1, 10_001);
    assert.deepEqual(meter.check(), { bytes: 1, milliseconds: 10_001 });
    assert.equal(meter.check(), undefined, 'the next window has just begun');
    assert.equal(meter.totalMs, 20_002);
  });

  it('takes a wait that was measured elsewhere instead of its own clock', () => {
    const { meter, pass } = startMeter();
    pass(90_000);
    meter.arrived(1, 9_000);
    assert.equal(meter.totalMs, 9_000);
    assert.equal(meter.check(), undefined);
  });

  it('begins to wait when it is made', () => {
    const { meter, pass } = startMeter();
    pass(300);
    meter.arrived(1);
    assert.equal(meter.totalMs, 300);
  });
});
