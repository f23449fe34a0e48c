import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { seal } from '../hosts/marker.ts';
import { doctorStage } from '../testing/doctor-facts.ts';
import { Facts, type FactsInit } from './facts.ts';
import { hostsRemedy, shellWord } from './hosts-remedy.ts';

const MIRROR = "[host.'http://127.0.0.1:5000']\n";
const CACHE = "[host.'https://cache.example']\n";

async function remedyOf(init: FactsInit, unusable = false): Promise<string> {
  using facts = new Facts(init);
  const files = await facts.files();
  return await hostsRemedy(facts, unusable ? files.filter((it) => it.problem !== undefined) : []);
}

describe('hostsRemedy', () => {
  it('needs no names without folders of single registries', async (t) => {
    const { init } = await doctorStage(t, undefined);
    assert.equal(
      await remedyOf(init),
      `peerglass configuration --mirror-targets http://127.0.0.1:5000 --containerd-registry-config-path ${init.certsFolder}`,
    );
  });

  it('names all that one command has to write, and keeps what is there', async (t) => {
    const { init, write } = await doctorStage(t, undefined);
    const ours = (folder: string): string => seal(MIRROR, { folder, madeFolder: true, k3s: false });
    write('certs.d/_default/hosts.toml', ours('_default'));
    write('certs.d/ghcr.io/hosts.toml', ours('ghcr.io'));
    write('certs.d/docker.io/hosts.toml', CACHE);
    write('certs.d/10.0.0.9_5000_/hosts.toml', `server = 'http://10.0.0.9:5000'\n${CACHE}`);
    write('certs.d/quay.io/hosts.toml', MIRROR);
    write('certs.d/localhost:5000/hosts.toml', CACHE);
    write('certs.d/broken.example/hosts.toml', 'nonsense');
    const names = "'*' http://10.0.0.9:5000 docker.io ghcr.io";
    assert.match(
      await remedyOf(init),
      new RegExp(` --mirrored-registries ${RegExp.escape(names)} --prepend-existing$`),
    );
    const broken = write('certs.d/broken.example/hosts.toml', 'nonsense');
    const all = "'*' http://10.0.0.9:5000 broken.example docker.io ghcr.io";
    const moved = await remedyOf(init, true);
    assert.ok(moved.startsWith(`mv ${broken} ${broken}.invalid && peerglass configuration `));
    assert.ok(moved.endsWith(` --mirrored-registries ${all} --prepend-existing`));
  });

  it('names the registries that are mirrored, all mirrors, and their authority', async (t) => {
    const registries = ['docker.io', 'ghcr.io'];
    const mirrorTargets = ['https://[fd00::1]:5000', 'https://10.0.0.1:5000'];
    const tls = { cert: '', key: '', ca: '/pki/ca.crt' };
    const { init, write } = await doctorStage(t, undefined, { registries, mirrorTargets, tls });
    write('certs.d/docker.io/hosts.toml', CACHE);
    assert.match(
      await remedyOf(init),
      /--mirror-targets 'https:\/\/\[fd00::1\]:5000' https:\/\/10\.0\.0\.1:5000 --mirror-target-ca \/pki\/ca\.crt .* --mirrored-registries docker\.io ghcr\.io --prepend-existing$/,
    );
  });
});

describe('shellWord', () => {
  it('quotes what a shell would change', () => {
    assert.equal(shellWord('docker.io'), 'docker.io');
    assert.equal(shellWord('*'), "'*'");
    assert.equal(shellWord("a'b c"), String.raw`'a'\''b c'`);
    assert.equal(shellWord(''), "''");
  });
});
