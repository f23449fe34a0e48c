import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { pino } from 'pino';

import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { eventually } from '../testing/eventually.ts';
import { TlsKeeper } from './tls-keeper.ts';
import { readMaterial } from './tls-material.ts';

async function reloads(metrics: Metrics, result: string): Promise<number> {
  const { values } = await metrics.tlsReloads.get();
  return values.find(({ labels }) => labels.result === result)?.value ?? 0;
}

describe('certificates of this node', { skip: noOpenssl }, () => {
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

  it('are read with their names and their end', async () => {
    const { identity, ca } = await readMaterial(files);
    assert.deepEqual(identity?.names, ['one.local', 'two']);
    const left = identity.notAfter.getTime() - Date.now();
    assert.ok(left > 24 * 3_600_000 && left < 3 * 24 * 3_600_000);
    assert.deepEqual(ca, await authority.read('ca.crt'));
    assert.deepEqual(await readMaterial({ cert: '', key: '', ca: '' }), {});
  });

  it('are refused at the start with the file, the reason and what to do', async () => {
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
      ['no certificate', { cert: nowhere }, /^--registry-tls-cert \S+nowhere is not there; mount/],
      ['no key', { key: nowhere }, /^--registry-tls-key \S+nowhere is not there; mount/],
      ['no authority', { ca: nowhere }, /^--registry-tls-ca \S+nowhere is not there; mount/],
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
      [
        'an encrypted key',
        { key: encrypted },
        /^--registry-tls-key \S+ is encrypted.* take it off/,
      ],
      ['expired', past, /^--registry-tls-cert \S+past.crt expired at \d{4}-.*; renew it/],
      ['not yet', future, /^--registry-tls-cert \S+future.crt is not valid before \d{4}-.*clock/],
      ['an expired authority', { ca: past.cert }, /^--registry-tls-ca \S+past.crt expired/],
    ];
    for (const [name, change, message] of cases) {
      const given = { ...files, ...change };
      await assert.rejects(readMaterial(given), { code: 'ERR_TLS_CONFIG', message }, name);
    }
  });

  it('follow their files through symbolic links, and stay where the new ones are bad', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
    const metrics = createMetrics();
    // As a secret's volume is: the files are links into `..data`, which is a link that is exchanged.
    const volume = authority.file('volume');
    await mkdir(volume);
    let generation = 0;
    const publish = async (cert: string, key: string): Promise<void> => {
      const name = `..${(generation += 1)}`;
      await mkdir(join(volume, name));
      await writeFile(join(volume, name, 'tls.crt'), await readFile(cert));
      await writeFile(join(volume, name, 'tls.key'), await readFile(key));
      await symlink(name, join(volume, '..new'));
      await rename(join(volume, '..new'), join(volume, '..data'));
    };
    await publish(files.cert, files.key);
    for (const name of ['tls.crt', 'tls.key']) {
      await symlink(join('..data', name), join(volume, name));
    }
    const mounted = {
      cert: join(volume, 'tls.crt'),
      key: join(volume, 'tls.key'),
      ca: authority.ca,
    };
    const init = { interval: 20, settle: 20 };
    const keeper = await TlsKeeper.load({ metrics, logger }, mounted, init);
    const seen: string[][] = [];
    keeper.onChange(({ identity }) => seen.push([...(identity?.names ?? [])]));
    const ending = new AbortController();
    const running = keeper.run(ending.signal);
    const expiry = async (): Promise<number | undefined> =>
      (await metrics.tlsCertificateExpiry.get()).values[0]?.value;

    const second = await authority.issue('second', { names: 'DNS:second', days: 9 });
    await publish(second.cert, second.key);
    await eventually(() => {
      assert.deepEqual(seen, [['second']]);
    });
    assert.deepEqual(keeper.current.identity?.names, ['second']);
    assert.equal(await expiry(), keeper.current.identity.notAfter.getTime() / 1000);
    assert.equal(await reloads(metrics, 'loaded'), 1);

    await publish(files.cert, second.key);
    await eventually(async () => {
      assert.equal(await reloads(metrics, 'refused'), 1);
    });
    const third = await authority.issue('third', { names: 'DNS:third', days: -1 });
    await publish(third.cert, third.key);
    await eventually(async () => {
      assert.equal(await reloads(metrics, 'refused'), 2);
    });
    assert.deepEqual(keeper.current.identity.names, ['second'], 'the old one serves on');

    await publish(files.cert, files.key);
    await eventually(() => {
      assert.deepEqual(seen, [['second'], ['one.local', 'two']]);
    });
    ending.abort();
    await running;
    const log = lines.join('');
    assert.match(log, /changed certificate not taken.*is not the key of/);
    assert.match(log, /changed certificate not taken.*expired at/);
    assert.match(log, /the certificate expires at/);
    for (const key of [files.key, second.key]) {
      const [, secret = ''] = (await readFile(key, 'latin1')).split('\n');
      assert.ok(secret.length > 40 && !log.includes(secret.slice(0, 20)), 'no key in the log');
    }
  });
});
