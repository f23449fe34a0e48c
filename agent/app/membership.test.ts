import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { formatSwarmKey, newSwarmKey } from '../membership/swarm-key.ts';
import { registryConfig } from '../testing/registry-config.ts';
import { membershipSettings } from './membership.ts';

const key = newSwarmKey();

async function keyFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-key-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'swarm.key');
  await writeFile(path, formatSwarmKey(key));
  return path;
}

async function settings(flags: Readonly<Record<string, string>>) {
  const lines: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  return { ...(await membershipSettings(registryConfig(flags), logger)), lines };
}

describe('membershipSettings', () => {
  it('refuses to start without a key, and says how to get one', async () => {
    await assert.rejects(settings({ open: 'false' }), {
      code: 'ERR_USAGE',
      message: /`peerglass swarm-key > FILE` .* --swarm-key-file FILE .* --open/,
    });
  });

  it('takes the key of the file, and is closed', async (t) => {
    const { keeper, isOpen, lines } = await settings({
      open: 'false',
      'swarm-key-file': await keyFile(t),
    });
    assert.equal(keeper?.keys[0]?.fingerprint, key.fingerprint);
    assert.equal(isOpen, false);
    assert.deepEqual(lines, []);
  });

  it('is open without a key, and with one, and warns of both', async (t) => {
    for (const flags of [{}, { 'swarm-key-file': await keyFile(t) }]) {
      const { keeper, isOpen, lines } = await settings({ open: 'true', ...flags });
      assert.equal(keeper !== undefined, 'swarm-key-file' in flags);
      assert.equal(isOpen, true);
      assert.match(lines.join(''), /can join, without a swarm key/);
    }
  });

  it('refuses a file that is not there', async () => {
    await assert.rejects(settings({ 'swarm-key-file': '/nonexistent/key' }), {
      code: 'ERR_SWARM_KEY',
    });
  });
});
