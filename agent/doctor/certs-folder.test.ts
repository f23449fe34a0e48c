import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

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
    assert.deepEqual(mirrorPositions(file, []), [1]);
    assert.deepEqual(mirrorPositions(file, ['https://mirror.example:443']), [0]);
    assert.deepEqual(mirrorPositions(file, ['http://10.0.0.1:5000']), []);
  });

  it('takes the first host of a file that configuration wrote', async (t) => {
    const { write, path } = await doctorStage(t, undefined);
    const init = { folder: '_default', madeFolder: true, k3s: false };
    write('certs.d/_default/hosts.toml', seal("[host.'http://10.0.0.1:30020']\n", init));
    const [file] = await readCertsFolder(path('certs.d'));
    assert.ok(file);
    assert.deepEqual(mirrorPositions(file, []), [0]);
  });
});

describe('isMirror and urlOf', () => {
  it('take a host without a scheme as https', () => {
    assert.equal(urlOf('a.example:5000')?.origin, 'https://a.example:5000');
    assert.equal(urlOf('http://'), undefined);
    assert.equal(isMirror({ url: 'localhost:5000' }, []), true);
    assert.equal(isMirror({ url: 'http://[::1]:5000' }, []), true);
    assert.equal(isMirror({ url: 'localhost.example' }, []), false);
    assert.equal(isMirror({ url: 'a.example' }, ['http://a.example']), false);
  });
});
