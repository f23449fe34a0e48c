import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { doctorStage } from '../testing/doctor-facts.ts';
import { readRegistriesYaml } from './registries-yaml.ts';

describe('readRegistriesYaml', () => {
  it('reads nothing when it is off', async () => {
    assert.equal(await readRegistriesYaml('off'), undefined);
    assert.equal(await readRegistriesYaml(''), undefined);
  });

  it('parses the file and checks the files that it names', async (t) => {
    const { write } = await doctorStage(t, undefined);
    const text =
      'mirrors: {docker.io: }\nconfigs: {a.example: {tls: {ca_file: /nowhere/ca.crt}}}\n';
    const yaml = await readRegistriesYaml(write('registries.yaml', text));
    assert.deepEqual([...(yaml?.parsed?.registries.mirrors.keys() ?? [])], ['docker.io']);
    const messages = yaml?.parsed?.findings.map(({ message }) => message).join('; ') ?? '';
    assert.match(messages, /the CA file/);
    assert.equal(yaml?.problem, undefined);
  });

  it('reports why a file cannot be read', async () => {
    const yaml = await readRegistriesYaml('/nowhere/registries.yaml');
    assert.equal(yaml?.parsed, undefined);
    assert.match(yaml?.problem ?? '', /no such file/);
  });
});
