import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import type { SplicingReport } from '../testing/splicing-program.ts';
import { Libc } from './libc.ts';
import { pipeBytes, Pipes, PipesSpentError, type Pipe } from './pipes.ts';

const PROGRAM = join(import.meta.dirname, '../testing/splicing-program.ts');
const KIB = 1024;
/** More than the budget has pipes for. */
const BODIES = 250;

/** Drops what frees root from the limit on pipes. Other users are not free from it. */
const UNPRIVILEGED =
  process.getuid?.() === 0
    ? ['setpriv', '--inh-caps=-all', '--bounding-set=-sys_resource,-sys_admin']
    : [];

/** A C library whose pipes have these sizes at most, and which counts the open ones. */
class CountingLibc extends Libc {
  open = 0;
  /** Sizes of the pipes that were wanted, in KiB. */
  readonly sizes: number[] = [];
  readonly #most: number;

  constructor(most = Infinity) {
    super();
    this.#most = most;
  }

  override pipe(wanted: number): ReturnType<Libc['pipe']> {
    const pipe = super.pipe(wanted);
    this.open += 2;
    this.sizes.push(wanted / KIB);
    return { ...pipe, capacity: Math.min(pipe.capacity, this.#most) };
  }

  override close(fd: number): void {
    super.close(fd);
    this.open -= 1;
  }
}

describe('Pipes', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  it('opens large pipes up to an eighth of the budget, then smaller ones, then none', () => {
    const libc = new CountingLibc();
    const { sizes } = libc;
    const pipes = new Pipes({ libc }, { bytes: 8192 * KIB });
    const open: Pipe[] = [];
    assert.throws(() => {
      for (;;) open.push(pipes.open());
    }, PipesSpentError);
    const expected = [1024, ...Array<number>(4).fill(256), ...Array<number>(96).fill(64)];
    assert.deepEqual(sizes, expected);
    for (const pipe of open) pipe[Symbol.dispose]();
    assert.equal(libc.open, 0);
    pipes.open()[Symbol.dispose]();
    assert.equal(sizes.at(-1), 1024);
  });

  it('opens none, and leaves none open, when the kernel gives smaller ones', () => {
    const libc = new CountingLibc(8 * KIB);
    const pipes = new Pipes({ libc });
    assert.throws(() => pipes.open(), { code: 'ERR_PIPES_SPENT' });
    assert.equal(libc.open, 0);
  });

  it('leaves pipes of a normal size to other processes of root, and moves bytes by no small one', (t) => {
    const [command, ...args] = [...UNPRIVILEGED, process.execPath, PROGRAM, String(BODIES)];
    const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (error !== undefined) {
      t.skip(error.message);
      return;
    }
    assert.ok(stdout !== '', stderr);
    const { pipes, refused, others } = JSON.parse(stdout) as SplicingReport;
    assert.ok(pipes.length > 0 && pipes.length + refused === BODIES);
    assert.ok(Math.min(...pipes) >= 64 * KIB, pipes.join());
    const taken = pipes.reduce((sum, bytes) => sum + bytes, 0);
    assert.ok(taken <= pipeBytes(), `${taken} bytes`);
    assert.ok(Math.min(...others) >= 64 * KIB, others.join());
  });
});

describe('pipeBytes', () => {
  it('is a quarter of what the pipes of a user may have, and 16 MiB at most', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'peerglass-pipes-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const file = join(folder, 'limit');
    for (const [pages, kib] of [
      ['1024\n', 1024],
      ['16384\n', 16 * 1024],
      ['1000000\n', 16 * 1024],
      ['0\n', 16 * 1024],
      ['', 16 * 1024],
    ] as const) {
      writeFileSync(file, pages);
      assert.equal(pipeBytes(file), kib * KIB, pages);
    }
    assert.equal(pipeBytes(join(folder, 'none')), 16 * 1024 * KIB);
  });
});
