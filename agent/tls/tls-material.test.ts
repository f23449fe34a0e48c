import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { isSameMaterial, readMaterial } from './tls-material.ts';

describe('readMaterial', { skip: noOpenssl }, () => {
  let authority: Authority;
  let files: { cert: string; key: string; ca: string };
  before(async () => {
    authority = await Authority.create();
    files = {
      ...(await authority.issue('node', { names: 'DNS:One.local,DNS:two,IP:10.0.0.1' })),
      ca: authority.ca,
    };
  });
  after(async () => {
    await authority[Symbol.asyncDispose]();
  });

  it('reads the certificate with its names and its expiry', async () => {
    const { identity, ca } = await readMaterial(files);
    assert.deepEqual(identity?.names, ['one.local', 'two']);
    const left = identity.notAfter.getTime() - Date.now();
    assert.ok(left > 24 * 3_600_000 && left < 3 * 24 * 3_600_000);
    assert.deepEqual(ca, await authority.read('ca.crt'));
    assert.deepEqual(await readMaterial({ cert: '', key: '', ca: '' }), {});
  });

  it('reads another certificate for peers, and other authorities for clients', async () => {
    await using others = await Authority.create('others');
    const shown = await others.issue('shown', { names: '', days: 9 });
    const further = { clientCert: shown.cert, clientKey: shown.key, clientCa: others.ca };
    const material = await readMaterial({ ...files, ...further });
    assert.deepEqual(material.client?.cert, await others.read('shown.crt'));
    assert.deepEqual(material.client.warnings, [], 'it serves for no host');
    assert.deepEqual(material.clientCa, await others.read('ca.crt'));
    assert.deepEqual(material.ca, await authority.read('ca.crt'));
    const wrong = { ...files, ...further, clientKey: files.key };
    const message = /^--registry-tls-client-key \S+node.key is not the key of .*shown.crt/;
    await assert.rejects(readMaterial(wrong), { code: 'ERR_TLS_CONFIG', message });
    const none = { ...files, ...further, clientCa: shown.key };
    const noAuthority = /^--registry-tls-client-ca \S+shown.key has no certificate/;
    await assert.rejects(readMaterial(none), { code: 'ERR_TLS_CONFIG', message: noAuthority });
  });

  it('refuses files that cannot be used, with the option, the file, the reason and what to do', async () => {
    const other = await authority.issue('other');
    const past = await authority.issue('past', { days: -1 });
    const future = await authority.issue('future', { from: 1 });
    const damaged = authority.file('damaged.crt');
    const text = await readFile(files.cert, 'latin1');
    await writeFile(damaged, text.replace(/[A-Za-z0-9+/]{64}\n/, ''));
    const encrypted = authority.file('encrypted.key');
    await promisify(execFile)('openssl', [
      ...['pkey', '-in', files.key, '-aes128', '-passout', 'pass:a', '-out', encrypted],
    ]);
    const nowhere = authority.file('nowhere');
    const cases: [string, Partial<typeof files>, RegExp][] = [
      [
        'no certificate',
        { cert: nowhere },
        /^--registry-tls-cert \S+nowhere does not exist; mount/,
      ],
      ['no key', { key: nowhere }, /^--registry-tls-key \S+nowhere does not exist; mount/],
      ['no authority', { ca: nowhere }, /^--registry-tls-ca \S+nowhere does not exist; mount/],
      ['a folder', { cert: authority.folder }, /is a folder; name the file in it/],
      [
        'no PEM',
        { cert: files.key },
        /^--registry-tls-cert \S+ has no certificate; it must be PEM/,
      ],
      ['damaged', { cert: damaged }, /^--registry-tls-cert \S+: certificate 1 of 1 is damaged/],
      [
        'a key of another',
        { key: other.key },
        /^--registry-tls-key \S+other.key is not the key of the certificate in \S+node.crt; name/,
      ],
      [
        'no key in it',
        { key: files.cert },
        /^--registry-tls-key \S+ has no usable private key; it must/,
      ],
      ['an encrypted key', { key: encrypted }, /^--registry-tls-key \S+ is encrypted.* decrypt it/],
      ['expired', past, /^--registry-tls-cert \S+past.crt expired at \d{4}-.*; renew it/],
      ['not yet', future, /^--registry-tls-cert \S+future.crt is not valid before \d{4}-.*clock/],
      ['an expired authority', { ca: past.cert }, /^--registry-tls-ca \S+past.crt expired/],
    ];
    for (const [name, change, message] of cases) {
      const given = { ...files, ...change };
      await assert.rejects(readMaterial(given), { code: 'ERR_TLS_CONFIG', message }, name);
    }
  });

  it('warns of a certificate that expires within two days, and of one without names', async () => {
    const warnings = async (name: string, spec: { names?: string; days?: number }) => {
      const { identity } = await authority.material(name, spec);
      return identity?.warnings.map((warning) => warning.slice(0, 36));
    };
    assert.deepEqual(await warnings('soon', { days: 1 }), [
      'the certificate expires at ' +
        new Date(Date.now() + 24 * 3_600_000).toISOString().slice(0, 9),
    ]);
    assert.deepEqual(
      await warnings('nameless', { names: '', days: 9 }),
      ['the certificate has no subjectAltName'].map((warning) => warning.slice(0, 36)),
    );
    assert.deepEqual(await warnings('good', { days: 9 }), []);
  });
});

describe('isSameMaterial', () => {
  const pair = (cert: string, key: string) => ({
    identity: {
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      notAfter: new Date(0),
      names: [],
      warnings: [],
    },
  });

  it('compares the bytes of certificate, key and authorities', () => {
    const ca = Buffer.from('ca');
    assert.ok(
      isSameMaterial({ ...pair('a', 'b'), ca }, { ...pair('a', 'b'), ca: Buffer.from('ca') }),
    );
    assert.ok(isSameMaterial({}, {}));
    const client = pair('c', 'd').identity;
    const both = { ...pair('a', 'b'), client, clientCa: ca };
    assert.ok(isSameMaterial(both, { ...both, client: pair('c', 'd').identity }));
    assert.ok(!isSameMaterial(both, { ...both, clientCa: Buffer.from('x') }));
    assert.ok(!isSameMaterial(both, { ...both, client: pair('c', 'x').identity }));
    for (const other of [pair('x', 'b'), pair('a', 'x'), { ...pair('a', 'b'), ca }, {}]) {
      assert.ok(!isSameMaterial(pair('a', 'b'), other));
    }
  });
});
