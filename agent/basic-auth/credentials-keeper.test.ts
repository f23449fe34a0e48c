import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { eventually } from '../testing/eventually.ts';
import { CredentialsKeeper } from './credentials-keeper.ts';

const header = (password: string): string =>
  `Basic ${Buffer.from(`mirror:${password}`).toString('base64')}`;

/** A keeper that reads often, with a clock and a log of its own. */
async function follow(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'basic-auth-'));
  const write = (password: string): Promise<void> => writeFile(join(folder, 'password'), password);
  await writeFile(join(folder, 'username'), 'mirror');
  await write('first');
  const lines: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
  const clock = { now: 0 };
  const components = { logger, now: () => clock.now };
  const keeper = await CredentialsKeeper.load(folder, components, { interval: 10, settle: 20 });
  const stop = new AbortController();
  const running = keeper.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    await rm(folder, { recursive: true });
  });
  const writeNow = (password: string): void => {
    // In one step, so that no read finds an empty file.
    writeFileSync(join(folder, 'next'), password);
    renameSync(join(folder, 'next'), join(folder, 'password'));
  };
  return { keeper, lines, clock, write, writeNow, folder };
}

describe('CredentialsKeeper', () => {
  it('takes over changed files, and accepts the credentials of before for five minutes', async (t) => {
    const { keeper, lines, clock, write } = await follow(t);
    let changes = 0;
    keeper.onChange(() => (changes += 1));
    const admitted = (): boolean[] =>
      ['first', 'second', 'third'].map((password) => keeper.admit(header(password)));
    assert.deepEqual(admitted(), [true, false, false]);
    await write('second');
    await eventually(() => {
      assert.equal(changes, 1);
    });
    assert.equal(keeper.current.authorization.reveal(), header('second'));
    assert.deepEqual(admitted(), [true, true, false]);
    clock.now += 5 * 60_000 - 1;
    assert.deepEqual(admitted(), [true, true, false]);
    clock.now += 1;
    assert.deepEqual(admitted(), [false, true, false]);
    await write('third');
    await eventually(() => {
      assert.deepEqual(admitted(), [false, true, true]);
    });
    assert.doesNotMatch(lines.join(''), /first|second|third|bWlycm9y/);
  });

  it('accepts the credentials of before for five minutes also after a second change', async (t) => {
    const { keeper, clock, write } = await follow(t);
    for (const password of ['secnod', 'second']) {
      await write(password);
      await eventually(() => {
        assert.equal(keeper.current.authorization.reveal(), header(password));
      });
      clock.now += 60_000;
    }
    const admitted = ['first', 'secnod', 'second'].map((it) => keeper.admit(header(it)));
    assert.deepEqual(admitted, [true, true, true]);
    clock.now += 3 * 60_000;
    assert.equal(keeper.admit(header('first')), false);
    assert.equal(keeper.admit(header('secnod')), true);
  });

  it('takes over only what two reads in a row have found, as a file may be half written', async (t) => {
    const { keeper, lines, writeNow } = await follow(t);
    let count = 0;
    // Between two reads it changes at least once: the pause between them is longer.
    const writing = setInterval(() => {
      writeNow(`half written ${String((count += 1))}`);
    }, 1);
    t.after(() => {
      clearInterval(writing);
    });
    await eventually(() => {
      assert.ok(count > 200);
    });
    clearInterval(writing);
    assert.equal(keeper.current.authorization.reveal(), header('first'));
    writeNow('second');
    await eventually(() => {
      assert.equal(keeper.current.authorization.reveal(), header('second'));
    });
    assert.equal(keeper.admit(header('first')), true);
    assert.equal(lines.filter((line) => line.includes('changed;')).length, 1);
  });

  it('keeps the credentials when a file is damaged or goes, and reports each once', async (t) => {
    const { keeper, lines, write, folder } = await follow(t);
    await write('a\nb');
    await eventually(() => {
      assert.match(
        lines[0] ?? '',
        /"level":50.*the old ones stay in use: --basic-auth-dir .*control/,
      );
    });
    await rm(join(folder, 'password'));
    await eventually(() => {
      assert.match(lines[1] ?? '', /does not exist/);
    });
    assert.equal(keeper.admit(header('first')), true);
    assert.equal(keeper.admit(undefined), false);
    assert.equal(lines.length, 2);
  });
});
