import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContainerdVersion } from '../hosts/containerd-version.ts';
import { seal } from '../hosts/marker.ts';
import { doctorStage } from '../testing/doctor-facts.ts';
import { isMirror, mirrorPositions, readCertsFolder, urlOf } from './certs-folder.ts';

const TWO_HOSTS = "[host.'https://mirror.example']\n[host.'http://127.0.0.1:5000']\n";

describe('readCertsFolder', () => {
  it('reads valid files, and reports why others are invalid', async (t) => {
    const { write, path } = await doctorStage(t, undefined);
    write('certs.d/_default/hosts.toml', TWO_HOSTS);
    write('certs.d/bad.example/hosts.toml', 'nonsense');
    write('certs.d/empty.example/ca.crt', '');
    write('certs.d/file', '');
    const files = await readCertsFolder(path('certs.d'));
    assert.deepEqual(
      files.map(({ folder, hosts, problem }) => [
        folder,
        hosts?.hosts.length,
        problem === undefined,
      ]),
      [
        ['_default', 2, true],
        ['bad.example', undefined, false],
        ['empty.example', undefined, true],
      ],
    );
  });

  it('reads the files as this version of containerd does', async (t) => {
    const { write, path } = await doctorStage(t, undefined);
    write('certs.d/a/hosts.toml', "[host.'http://[fd88::2]:5000']\n");
    write('certs.d/b/hosts.toml', "[host]\n'http://127.0.0.1:5000' = {}\n[host.'https://c']\n");
    const read = async (version?: ContainerdVersion): Promise<unknown[]> =>
      (await readCertsFolder(path('certs.d'), version)).map(({ hosts, ignoredHosts }) => [
        hosts?.hosts.length,
        ignoredHosts?.length,
      ]);
    assert.deepEqual(await read([1, 7]), [
      [undefined, undefined],
      [2, 0],
    ]);
    assert.deepEqual(await read([2, 1]), [
      [1, 0],
      [1, 1],
    ]);
    assert.deepEqual(await read(), [
      [1, undefined],
      [2, undefined],
    ]);
  });

  it('finds no files when the folder does not exist', async () => {
    assert.deepEqual(await readCertsFolder('/nowhere/certs.d'), []);
  });

  it('skips the check when the folder cannot be read', async (t) => {
    const { write } = await doctorStage(t, undefined);
    const file = write('certs.d', 'a file');
    await assert.rejects(readCertsFolder(file), {
      code: 'ERR_CHECK_SKIPPED',
      message: /certs\.d cannot be read \(ENOTDIR\)/,
    });
  });
});

describe('mirrorPositions', () => {
  it('finds hosts on loopback without targets, and the targets otherwise', async (t) => {
    const { write, path } = await doctorStage(t, undefined);
    write('certs.d/_default/hosts.toml', TWO_HOSTS);
    const [file] = await readCertsFolder(path('certs.d'));
    assert.ok(file);
    assert.deepEqual(mirrorPositions(file, { targets: [], port: undefined }), [1]);
    assert.deepEqual(
      mirrorPositions(file, { targets: ['https://mirror.example:443'], port: 5000 }),
      [0],
    );
    assert.deepEqual(mirrorPositions(file, { targets: ['http://10.0.0.1:5000'], port: 5000 }), []);
  });

  it('takes the first host of a file that configuration wrote', async (t) => {
    const { write, path } = await doctorStage(t, undefined);
    const init = { folder: '_default', madeFolder: true, k3s: false };
    write('certs.d/_default/hosts.toml', seal("[host.'http://10.0.0.1:30020']\n", init));
    const [file] = await readCertsFolder(path('certs.d'));
    assert.ok(file);
    assert.deepEqual(mirrorPositions(file, { targets: [], port: undefined }), [0]);
  });
});

describe('isMirror and urlOf', () => {
  it('take a host without a scheme as https', () => {
    assert.equal(urlOf('a.example:5000')?.origin, 'https://a.example:5000');
    assert.equal(urlOf('http://'), undefined);
    const anywhere = { targets: [], port: undefined };
    assert.equal(isMirror({ url: 'localhost:5000' }, anywhere), true);
    assert.equal(isMirror({ url: 'http://[::1]:5000' }, anywhere), true);
    assert.equal(isMirror({ url: 'localhost.example' }, anywhere), false);
    const target = { targets: ['http://a.example'], port: undefined };
    assert.equal(isMirror({ url: 'a.example' }, target), false);
  });

  it('take a cache on loopback for the mirror only while the port of the agent is unknown', () => {
    const cache = { url: 'http://127.0.0.1:8080' };
    assert.equal(isMirror(cache, { targets: [], port: undefined }), true);
    assert.equal(isMirror(cache, { targets: [], port: 5000 }), false);
    assert.equal(isMirror({ url: 'http://localhost:5000' }, { targets: [], port: 5000 }), true);
    assert.equal(isMirror({ url: 'http://localhost' }, { targets: [], port: 80 }), true);
  });
});
