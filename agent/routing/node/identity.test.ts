import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import {
  IDENTITY_FILE,
  IdentityError,
  loadIdentity,
  MAX_REPLACED_FILES,
  renewIdentity,
  REPLACED_FILE,
} from './identity.ts';

let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'identity-'));
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

async function idIn(dataDir?: string): Promise<string> {
  return peerIdFromPrivateKey(await loadIdentity(dataDir)).toString();
}

describe('renewIdentity', () => {
  it('replaces the identity in the data directory, or makes one without it', async () => {
    const first = await idIn(dir);
    const { privateKey } = await renewIdentity(dir);
    const renewed = peerIdFromPrivateKey(privateKey).toString();
    assert.notEqual(renewed, first);
    assert.equal(await idIn(dir), renewed);
    assert.equal((await stat(join(dir, IDENTITY_FILE))).mode & 0o777, 0o600);
    const without = await renewIdentity('');
    assert.notEqual(peerIdFromPrivateKey(without.privateKey).toString(), renewed);
    assert.equal(without.replacedIn, undefined);
  });

  it('keeps the replaced keys in files of their own, the oldest ones, and names the file', async () => {
    assert.equal((await renewIdentity(dir)).replacedIn, undefined, 'there was none');
    const path = join(dir, IDENTITY_FILE);
    for (let count = 1; count <= MAX_REPLACED_FILES; count += 1) {
      const previous = await readFile(path, 'utf8');
      const kept = join(dir, count === 1 ? REPLACED_FILE : `${REPLACED_FILE}.${String(count)}`);
      assert.equal((await renewIdentity(dir)).replacedIn, kept);
      assert.equal(await readFile(kept, 'utf8'), previous);
      assert.equal((await stat(kept)).mode & 0o777, 0o600);
    }
    const before = await readdir(dir);
    const oldest = await readFile(join(dir, REPLACED_FILE), 'utf8');
    assert.equal((await renewIdentity(dir)).replacedIn, undefined, 'as many as are kept');
    assert.deepEqual(await readdir(dir), before);
    assert.equal(await readFile(join(dir, REPLACED_FILE), 'utf8'), oldest);
  });
});

describe('loadIdentity', () => {
  it('makes a new identity at each start without a data directory', async () => {
    assert.notEqual(await idIn(), await idIn());
    assert.notEqual(await idIn(''), await idIn(''));
  });

  it('creates an identity once, readable by its owner only, and keeps it', async () => {
    const dataDir = join(dir, 'not', 'there', 'yet');
    const first = await idIn(dataDir);
    assert.equal(await idIn(dataDir), first);
    const path = join(dataDir, IDENTITY_FILE);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.match(await readFile(path, 'utf8'), /^-----BEGIN PRIVATE KEY-----\n/);
    assert.deepEqual(await readdir(dataDir), [IDENTITY_FILE]);
  });

  it('reads the key of the example in RFC 8410', async () => {
    // RFC 8410, section 10.3: the private key of the example.
    await writeFile(
      join(dir, IDENTITY_FILE),
      '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n',
    );
    const key = await loadIdentity(dir);
    assert.equal(
      Buffer.from(key.publicKey.raw).toString('hex'),
      '19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1',
    );
  });

  it('replaces an empty file', async () => {
    await writeFile(join(dir, IDENTITY_FILE), '');
    const first = await idIn(dir);
    assert.equal(await idIn(dir), first);
  });

  it('rejects a corrupt file with its path, and leaves it as it is', async () => {
    const path = join(dir, IDENTITY_FILE);
    for (const content of [
      'garbage',
      '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
      '\n',
    ]) {
      await writeFile(path, content);
      await assert.rejects(loadIdentity(dir), (error) => {
        assert.ok(error instanceof IdentityError);
        assert.equal(error.code, 'ERR_IDENTITY_CORRUPT');
        assert.ok(error.message.includes(path));
        return true;
      });
      assert.equal(await readFile(path, 'utf8'), content);
    }
  });

  it('rejects a key of another type', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const path = join(dir, IDENTITY_FILE);
    await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await assert.rejects(loadIdentity(dir), { code: 'ERR_IDENTITY_KEY_TYPE', path });
  });

  it('rejects a file that cannot be read or created, with its path', async () => {
    const path = join(dir, IDENTITY_FILE);
    await mkdir(path);
    await assert.rejects(loadIdentity(dir), { code: 'ERR_IDENTITY_UNREADABLE', path });
    await rmdir(path);
    // As a device that never ends.
    await symlink('/dev/zero', path);
    await assert.rejects(loadIdentity(dir), { code: 'ERR_IDENTITY_UNREADABLE', path });
    await rm(path);
    await mkdir(path);
    const file = join(dir, 'file');
    await writeFile(file, '');
    await assert.rejects(loadIdentity(join(file, 'sub')), /ERR_IDENTITY|cannot/);
  });

  it('makes the data directory with the folders above it', async () => {
    const deep = join(dir, 'a/b/c');
    const { publicKey } = await loadIdentity(deep);
    assert.ok(publicKey.equals((await loadIdentity(deep)).publicKey));
  });

  it(
    'rejects where the system does not allow the data directory, instead of a wait without end',
    { skip: process.platform !== 'linux' && 'needs /proc' },
    async () => {
      for (const path of ['/proc/peerglass', '/proc/peerglass/data']) {
        await assert.rejects(loadIdentity(path), { code: 'ERR_IDENTITY_UNWRITABLE' });
      }
    },
  );

  it(
    'rejects a data directory that is not writable',
    { skip: process.getuid?.() === 0 && 'root writes everywhere' },
    async () => {
      await chmod(dir, 0o500);
      await assert.rejects(loadIdentity(dir), { code: 'ERR_IDENTITY_UNWRITABLE' });
    },
  );
});
