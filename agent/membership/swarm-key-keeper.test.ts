import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { until } from '../testing/conformance/router.ts';
import { SwarmKeyError } from './swarm-key-error.ts';
import { SwarmKeyKeeper } from './swarm-key-keeper.ts';
import { formatSwarmKey, newSwarmKey } from './swarm-key.ts';

async function keyFile(t: TestContext, text?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-key-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'swarm.key');
  if (text !== undefined) await writeFile(path, text);
  return path;
}

/** A keeper that reads often, and the lines of its log. */
async function follow(t: TestContext, path: string) {
  const lines: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
  const keeper = await SwarmKeyKeeper.load(path, logger, { interval: 10, settle: 20 });
  const stop = new AbortController();
  const running = keeper.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
  return { keeper, lines };
}

const prints = ({ keys }: SwarmKeyKeeper) => keys.map(({ fingerprint }) => fingerprint);

describe('SwarmKeyKeeper', () => {
  it('takes over the keys of a file that changes', async (t) => {
    const [first, second] = [newSwarmKey(), newSwarmKey()];
    const path = await keyFile(t, formatSwarmKey(first));
    const { keeper, lines } = await follow(t, path);
    const seen: (readonly string[])[] = [];
    const end = keeper.onChange(() => seen.push(prints(keeper)));
    assert.deepEqual(prints(keeper), [first.fingerprint]);
    await writeFile(path, formatSwarmKey(second) + formatSwarmKey(first));
    await until(() => keeper.keys.length === 2);
    assert.deepEqual(seen, [[second.fingerprint, first.fingerprint]], 'called back with the keys');
    end();
    assert.deepEqual(prints(keeper), [second.fingerprint, first.fingerprint]);
    assert.match(lines.at(-1) ?? '', new RegExp(second.fingerprint));
    const digits = Buffer.from(second.bytes).toString('hex');
    assert.ok(!lines.join('').includes(digits));
  });

  it('keeps its keys when the file is damaged or goes, and reports each once', async (t) => {
    const [key, next] = [newSwarmKey(), newSwarmKey()];
    const path = await keyFile(t, formatSwarmKey(key));
    const { keeper, lines } = await follow(t, path);
    await writeFile(path, 'short');
    await until(() => lines.length === 2);
    assert.match(lines[1] ?? '', /the old one stays in use: --swarm-key-file .* 5 characters/);
    await rm(path);
    await until(() => lines.length === 3);
    assert.match(lines[2] ?? '', /does not exist/);
    assert.deepEqual(prints(keeper), [key.fingerprint]);
    await writeFile(path, formatSwarmKey(next));
    await until(() => prints(keeper)[0] === next.fingerprint);
    assert.equal(lines.length, 4);
  });

  it('does not start with a file that cannot be used, and says what to do', async (t) => {
    const { logger } = { logger: pino({ level: 'silent' }) };
    const load = async (path: string) => SwarmKeyKeeper.load(path, logger);
    await assert.rejects(load(await keyFile(t)), (error) => {
      assert.ok(error instanceof SwarmKeyError);
      assert.match(error.message, /^--swarm-key-file \/.* does not exist; `peerglass swarm-key`/);
      return true;
    });
    await assert.rejects(load(await keyFile(t, '')), /is empty; `peerglass swarm-key` prints one/);
    await assert.rejects(load(await keyFile(t, 'x'.repeat(20_000))), /too large/);
    await assert.rejects(load(tmpdir()), /is a folder/);
    await assert.rejects(load('/dev/zero'), /is a pipe, a socket or a device/);
    const unreadable = await keyFile(t, formatSwarmKey(newSwarmKey()));
    await chmod(unreadable, 0);
    if (process.getuid?.() !== 0) await assert.rejects(load(unreadable), /must be readable/);
  });
});
