import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { PeerError } from '../client/peer-error.ts';
import { IdentityWarnings } from './identity-warnings.ts';

interface Line {
  readonly peer: string;
  readonly cause: string;
}

function makeWarnings(t: TestContext) {
  const lines: Line[] = [];
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as Line);
  };
  const clock = { now: 0 };
  t.mock.method(performance, 'now', () => clock.now);
  const warnings = new IdentityWarnings({ logger: pino({ level: 'warn' }, { write }) });
  return {
    lines,
    /** A second later than the one before. */
    warn: (peer: string, cause: string): void => {
      clock.now += 1_000;
      warnings.warn(peer, new PeerError('identity', cause));
    },
    clock,
    warnings,
  };
}

describe('IdentityWarnings', () => {
  it('names each peer once for each cause, and again after an hour', (t) => {
    const { lines, warn, clock } = makeWarnings(t);
    for (let round = 0; round < 3; round += 1) {
      warn('a', 'another peer is there');
      warn('a', 'not signed');
      warn('b', 'not signed');
    }
    const named = (): string[] => lines.map(({ peer, cause }) => `${peer}: ${cause}`);
    assert.deepEqual(named(), ['a: another peer is there', 'a: not signed', 'b: not signed']);
    clock.now += 60 * 60_000;
    warn('b', 'not signed');
    assert.equal(lines.length, 4);
  });

  it('logs one line in a second, however many peers there are', (t) => {
    const { lines, warnings, clock } = makeWarnings(t);
    for (let count = 0; count < 100; count += 1) {
      warnings.warn(`peer-${String(count)}`, new PeerError('identity', 'not signed'));
      clock.now += 100;
    }
    assert.equal(lines.length, 10);
  });
});
