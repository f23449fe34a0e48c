import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { parseCertificates, parseKey, readPem } from './read-pem.ts';

const CODE = 'ERR_TLS_CONFIG';

describe('readPem', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerglass-pem-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('reads a file of up to 1 MiB, and refuses a larger one', async () => {
    const path = join(folder, 'large.pem');
    await writeFile(path, Buffer.alloc(1024 * 1024));
    assert.equal((await readPem('--x', path)).length, 1024 * 1024);
    await writeFile(path, Buffer.alloc(1024 * 1024 + 1));
    const message = `--x ${path} is too large for PEM; name another file`;
    await assert.rejects(readPem('--x', path), { code: CODE, message });
  });

  it('names the option and the file when there is none, or it is a folder', async () => {
    const path = join(folder, 'none.pem');
    const message = `--x ${path} does not exist; mount the secret or correct the path`;
    await assert.rejects(readPem('--x', path), { code: CODE, message });
    await assert.rejects(readPem('--x', folder), {
      code: CODE,
      message: /is a folder; name the file/,
    });
    await assert.rejects(readPem('--x', '/dev/zero'), { code: CODE, message: /a device; name a/ });
  });
});

describe('parseCertificates', { skip: noOpenssl }, () => {
  it('returns all certificates in their order, and ignores what is between them', async () => {
    await using authority = await Authority.create();
    await authority.issue('node');
    const pem = [
      await authority.read('node.crt'),
      Buffer.from('\nnotes\n'),
      await authority.read('ca.crt'),
    ];
    const subjects = parseCertificates('--x', 'file', Buffer.concat(pem)).map(
      ({ subject }) => subject,
    );
    assert.deepEqual(subjects, ['CN=node', 'CN=test']);
  });

  it('names the damaged one of several', async () => {
    await using authority = await Authority.create();
    const good = await authority.read('ca.crt');
    const damaged = good.toString('latin1').replace(/[A-Za-z0-9+/]{64}\n/, '');
    const pem = Buffer.concat([good, Buffer.from(damaged)]);
    const message = '--x file: certificate 2 of 2 is damaged; replace the file';
    assert.throws(() => parseCertificates('--x', 'file', pem), { code: CODE, message });
  });
});

describe('parseKey', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  it('reads a private key', () => {
    const pem = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    assert.ok(parseKey('--x', 'file', pem).equals(privateKey));
  });

  it('refuses an encrypted key, and bytes that are none, without a word of OpenSSL', () => {
    const cipher = { cipher: 'aes-128-cbc', passphrase: 'secret' };
    const encrypted = privateKey.export({ type: 'pkcs8', format: 'pem', ...cipher });
    assert.throws(() => parseKey('--x', 'file', Buffer.from(encrypted)), {
      code: CODE,
      message: /^--x file is encrypted.*decrypt it/,
    });
    assert.throws(
      () => parseKey('--x', 'file', Buffer.from('BEGIN PRIVATE KEY')),
      (error: Error) => error.message.startsWith('--x file has no usable') && !('cause' in error),
    );
  });
});
