import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';

import { install, template } from './helm.ts';
import { KubernetesApi } from './kubernetes-api.ts';
import type { Manifest } from './manifest.ts';
import { SPEGEL_FILE } from './matrix.ts';
import { missing } from './tools.ts';

/** Whose API has all that the values are for. */
const KUBERNETES = '1.34';
/** Values of Spegel's chart that have no effect here, by what the notes say of them. */
const IGNORED: Readonly<Record<string, RegExp>> = {
  'image.tag': /image\.tag and image\.digest are ignored/,
  'image.digest': /image\.tag and image\.digest are ignored/,
  'image.repository': /ghcr\.io\/spegel-org\/spegel is Spegel's/,
  basicAuthSecretName: /basicAuthSecretName: ignored/,
};
/** What says the default: that it is given has an effect when it is off. */
const DEFAULTS = ['spegel.containerdMirrorAdd'];

type Values = Record<string, unknown>;

/** The paths of all values in the file; a list is one value. */
function pathsOf(values: Values, above = ''): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const path = `${above}${name}`;
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isMap && !(path in IGNORED) ? pathsOf(value as Values, `${path}.`) : [path];
  });
}

/** The values with one left out or replaced. */
function changed(values: Values, path: string, value?: unknown): Values {
  const [name = '', ...rest] = splitPath(values, path);
  const copy = { ...values };
  if (rest.length > 0) copy[name] = changed(values[name] as Values, rest.join('.'), value);
  else if (value === undefined) Reflect.deleteProperty(copy, name);
  else copy[name] = value;
  return copy;
}

/** Names may have dots in them, as labels do. */
function splitPath(values: Values, path: string): string[] {
  const name = Object.keys(values).find((key) => path === key || path.startsWith(`${key}.`));
  assert.ok(name !== undefined, path);
  return path === name ? [name] : [name, path.slice(name.length + 1)];
}

const reason = missing('helm');
if (reason !== undefined) {
  process.stderr.write(`chart: SKIPPED: ${reason}. Spegel's values were NOT tested.\n`);
}

describe("a values file of Spegel's chart", { skip: reason ?? false }, () => {
  let whole: readonly Manifest[];
  let notes: string;
  before(async () => {
    await using api = await KubernetesApi.start();
    ({ notes } = await install(SPEGEL_FILE, api));
    whole = await template(SPEGEL_FILE, KUBERNETES);
  });

  for (const path of pathsOf(SPEGEL_FILE)) {
    it(`${path} ${path in IGNORED ? 'is reported as ignored' : 'has its effect'}`, async () => {
      const without = DEFAULTS.includes(path)
        ? changed(SPEGEL_FILE, path, false)
        : changed(SPEGEL_FILE, path);
      const rendered = await template(without, KUBERNETES);
      const ignored = IGNORED[path];
      if (ignored === undefined) {
        assert.notDeepEqual(rendered, whole);
      } else {
        assert.match(notes, ignored);
        if (path !== 'image.repository') assert.deepEqual(rendered, whole);
      }
    });
  }

  it("runs our image in the place of Spegel's", () => {
    const images = JSON.stringify(whole).match(/"image":"[^"]+"/g) ?? [];
    assert.deepEqual([...new Set(images)].sort(), [
      '"image":"localhost/peerglass:0.1.0"',
      '"image":"registry.example/wait:1.0"',
    ]);
  });

  it('is told what the chart does not know', async () => {
    const values = { spegel: { appendMirrors: true }, kubeconfig: 'x', global: { y: 1 } };
    await using api = await KubernetesApi.start();
    const { notes: told } = await install(values, api);
    assert.match(told, /spegel\.appendMirrors: ignored, this chart knows no such value/);
    assert.match(told, /kubeconfig: ignored/);
    assert.doesNotMatch(told, /global/);
  });

  it('is told what its Kubernetes is too old for', async () => {
    await using api = await KubernetesApi.start({}, 33);
    const values = { service: { registry: { usePreferSameNodeTrafficDistribution: true } } };
    assert.match((await install(values, api)).notes, /TrafficDistribution: ignored/);
  });

  it('is told of a limit that is too low', () => {
    assert.match(notes, /resources\.limits\.memory: 150Mi is little/);
  });
});

describe('the notes', { skip: reason ?? false }, () => {
  it('have three commands, and no warning without a reason', async () => {
    await using api = await KubernetesApi.start();
    const { notes } = await install({}, api);
    assert.equal(notes.match(/^ {3}(kubectl|helm) /gm)?.length, 3);
    assert.doesNotMatch(notes, /WARNING|embedded/);
  });
});

describe("k3s' embedded mirror", { skip: reason ?? false }, () => {
  const label = 'p2p.k3s.cattle.io/enabled';
  const k3s = { peerglass: { preset: 'k3s' } };

  it('is refused when a node has it on', async () => {
    await using api = await KubernetesApi.start({ a: {}, b: { [label]: 'true' } });
    await assert.rejects(install(k3s, api), /embedded mirror of k3s is on at node b/);
  });

  it('is refused for RKE2 as well', async () => {
    await using api = await KubernetesApi.start({ b: { [label]: 'true' } });
    await assert.rejects(install({ peerglass: { preset: 'rke2' } }, api), /is on at node b/);
  });

  it('is warned of in the notes, which cannot know of nodes to come', async () => {
    await using api = await KubernetesApi.start({ a: {}, b: { [label]: 'false' } });
    assert.match((await install(k3s, api)).notes, /embedded mirror of k3s must be off/);
  });

  it('can be left to the user', async () => {
    await using api = await KubernetesApi.start({ b: { [label]: 'true' } });
    await install({ peerglass: { preset: 'k3s', checkEmbeddedRegistry: false } }, api);
  });

  it('is no concern of others', async () => {
    await using api = await KubernetesApi.start({ b: { [label]: 'true' } });
    await install({}, api);
  });
});
