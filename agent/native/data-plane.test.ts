import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { quiet } from '../testing/quiet.ts';
import { DataPlane } from './data-plane.ts';
import { Kernel } from './kernel.ts';
import { Libc } from './libc.ts';

const skip = process.platform !== 'linux' && 'Linux only';

describe('DataPlane', { skip }, () => {
  it('loads the C library at the first use, and once', () => {
    let loads = 0;
    const load = (): Libc => {
      loads += 1;
      return new Libc();
    };
    const dataPlane = new DataPlane({ logger: quiet, load });
    assert.deepEqual([dataPlane.path, loads], ['kernel', 0]);
    assert.ok(dataPlane.kernel() instanceof Kernel);
    assert.equal(dataPlane.kernel(), dataPlane.kernel());
    assert.equal(loads, 1);
  });

  it('sends everything as streams when the library cannot be loaded, and logs that once', () => {
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => lines.push(line) });
    const load = (): Libc => {
      throw new Error('no koffi here');
    };
    const dataPlane = new DataPlane({ logger, load });
    assert.equal(dataPlane.kernel(), undefined);
    assert.equal(dataPlane.kernel(), undefined);
    assert.equal(dataPlane.path, 'stream');
    assert.equal(lines.length, 1);
    assert.match(lines.join(), /sendfile cannot be called.*|no koffi here/);
  });

  it('loads nothing in mode "stream"', () => {
    const load = (): Libc => assert.fail('loaded');
    const dataPlane = new DataPlane({ logger: quiet, load }, 'stream');
    assert.equal(dataPlane.kernel(), undefined);
    assert.equal(dataPlane.path, 'stream');
  });
});
