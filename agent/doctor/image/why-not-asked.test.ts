import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { describe, it } from 'node:test';

import { doctorStage } from '../../testing/doctor-facts.ts';
import { Facts } from '../facts.ts';
import { whyNotAsked } from './why-not-asked.ts';

const MIRROR = "[host.'http://127.0.0.1:5000']\n";
const CACHE = "[host.'https://cache.example']\n";

describe('whyNotAsked', () => {
  it('looks at the file that containerd reads for the registry', async (t) => {
    const { init, write, path } = await doctorStage(t, {});
    write('certs.d/_default/hosts.toml', MIRROR);
    write('certs.d/docker.io/hosts.toml', CACHE);
    write('certs.d/quay.io/hosts.toml', 'nonsense');
    write('certs.d/10.0.0.9_5000_/hosts.toml', CACHE + MIRROR);
    mkdirSync(path('certs.d/ghcr.io'));
    const why = async (registry: string): Promise<string> => {
      using facts = new Facts(init);
      return (await whyNotAsked(facts, registry)) ?? 'asked';
    };
    assert.equal(await why('registry.example'), 'asked');
    assert.equal(await why('10.0.0.9:5000'), 'asked');
    assert.match(await why('docker.io'), /docker\.io\/hosts\.toml does not name the mirror/);
    assert.match(await why('quay.io'), /ignores .*quay\.io\/hosts\.toml: line 1/);
    assert.match(await why('ghcr.io'), /ghcr\.io\/hosts\.toml is not there, and .* hides _default/);
  });

  it('says that there is no file for it, and that config_path is not set', async (t) => {
    const named = await doctorStage(t, {});
    named.write('certs.d/docker.io/hosts.toml', MIRROR);
    using some = new Facts(named.init);
    assert.match((await whyNotAsked(some, 'quay.io')) ?? '', /certs\.d has no hosts\.toml for it/);

    const unset = await doctorStage(t, { cri: { registry: { configPath: '' } } });
    unset.write('certs.d/_default/hosts.toml', MIRROR);
    using facts = new Facts(unset.init);
    assert.match((await whyNotAsked(facts, 'quay.io')) ?? '', /config_path is not set/);
  });

  it('does not know when there is no folder, as in a pod', async (t) => {
    const { init } = await doctorStage(t, {});
    using facts = new Facts(init);
    assert.equal(await whyNotAsked(facts, 'quay.io'), undefined);
  });
});
