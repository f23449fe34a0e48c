import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import packageJson from '../../package.json' with { type: 'json' };

interface Locked {
  readonly name?: string;
  readonly version?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}

const { packages } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../package-lock.json'), 'utf8'),
) as { readonly packages: Readonly<Record<string, Locked>> };
const dependencies = Object.entries(packages).filter(([path]) => path !== '');

describe('package-lock.json', () => {
  it('has the integrity of every package', () => {
    const without = dependencies.filter(([, { integrity }]) => integrity === undefined);
    assert.deepEqual(without, []);
  });

  it('installs no package under the name of another', () => {
    // `name` is there only where it differs from the folder: an alias, and a way to put a stranger's package in.
    const aliases = dependencies.filter(([, { name }]) => name !== undefined);
    assert.deepEqual(aliases, []);
    assert.ok(!('overrides' in packageJson));
  });

  it('pins every direct dependency to one version', () => {
    const { dependencies: shipped, devDependencies, optionalDependencies } = packageJson;
    for (const [name, version] of Object.entries({
      ...shipped,
      ...devDependencies,
      ...optionalDependencies,
    })) {
      assert.match(version, /^\d+\.\d+\.\d+/, name);
      assert.equal(packages[`node_modules/${name}`]?.version, version, name);
    }
  });
});
