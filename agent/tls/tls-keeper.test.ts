import assert from 'node:assert/strict';
import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { pino } from 'pino';

import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { eventually } from '../testing/eventually.ts';
import { TlsKeeper } from './tls-keeper.ts';

async function reloads(metrics: Metrics, result: string): Promise<number> {
  const { values } = await metrics.tlsReloads.get();
  return values.find(({ labels }) => labels.result === result)?.value ?? 0;
}

describe('TlsKeeper', { skip: noOpenssl }, () => {
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

  it('follows the files through symbolic links, and keeps the old pair when the new files cannot be used', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
    const metrics = createMetrics();
    // Like the volume of a secret: the files are links into `..data`, a link that is replaced.
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
    assert.deepEqual(keeper.current.identity.names, ['second'], 'the old one stays in use');

    await publish(files.cert, files.key);
    await eventually(() => {
      assert.deepEqual(seen, [['second'], ['one.local', 'two']]);
    });
    ending.abort();
    await running;
    const log = lines.join('');
    assert.match(log, /changed certificate not used.*is not the key of/);
    assert.match(log, /changed certificate not used.*expired at/);
    assert.match(log, /the certificate expires at/);
    for (const key of [files.key, second.key]) {
      const [, secret = ''] = (await readFile(key, 'latin1')).split('\n');
      assert.ok(secret.length > 40 && !log.includes(secret.slice(0, 20)), 'no key in the log');
    }
  });

  it('reports the earlier end of the certificates that it serves with and shows', async () => {
    const shown = await authority.issue('shown', { names: '', days: 1 });
    const lines: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
    const metrics = createMetrics();
    const { current } = await TlsKeeper.load(
      { metrics, logger },
      { ...files, clientCert: shown.cert, clientKey: shown.key },
    );
    assert.ok(current.client !== undefined && current.identity !== undefined);
    assert.ok(current.client.notAfter < current.identity.notAfter);
    const [end] = (await metrics.tlsCertificateExpiry.get()).values;
    assert.equal(end?.value, current.client.notAfter.getTime() / 1000);
    assert.match(lines.join(''), /the certificate expires at/);
  });
});
