import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';

import { install, template } from '../helm.ts';
import { KubernetesApi } from '../kubernetes-api.ts';
import type { Manifest } from '../manifest.ts';
import { SPEGEL_FILE } from '../matrix.ts';
import { missing } from '../tools.ts';

/** A version whose API has everything that the values need. */
const KUBERNETES = '1.34';
/** Values of Spegel's chart that have no effect here, and their notes. */
const IGNORED: Readonly<Record<string, RegExp>> = {
  'image.tag': /image\.tag and image\.digest are ignored/,
  'image.digest': /image\.tag and image\.digest are ignored/,
  'image.repository': /ghcr\.io\/spegel-org\/spegel is Spegel's/,
};
/** Values that are set to their default in the file. They have an effect if they are set to false. */
const DEFAULTS = ['spegel.containerdMirrorAdd'];

type Values = Record<string, unknown>;

/** The paths of all values in the file. A list is one value. */
function pathsOf(values: Values, above = ''): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const path = `${above}${name}`;
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isMap && !(path in IGNORED) ? pathsOf(value as Values, `${path}.`) : [path];
  });
}

/** The values without one value, or with another one. */
function changed(values: Values, path: string, value?: unknown): Values {
  const [name = '', ...rest] = splitPath(values, path);
  const copy = { ...values };
  if (rest.length > 0) copy[name] = changed(values[name] as Values, rest.join('.'), value);
  else if (value === undefined) Reflect.deleteProperty(copy, name);
  else copy[name] = value;
  return copy;
}

/** Splits a path. Names may contain dots, as labels do. */
function splitPath(values: Values, path: string): string[] {
  const name = Object.keys(values).find((key) => path === key || path.startsWith(`${key}.`));
  assert.ok(name !== undefined, path);
  return path === name ? [name] : [name, path.slice(name.length + 1)];
}

/** The chart with a swarm key of the user: one that it makes is another each time. */
function templateWithKey(values: Values): Promise<Manifest[]> {
  const peerglass = { ...(values['peerglass'] ?? {}), swarmKeySecretName: 'ours' };
  return template({ ...values, peerglass }, KUBERNETES);
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
    whole = await templateWithKey(SPEGEL_FILE);
  });

  for (const path of pathsOf(SPEGEL_FILE)) {
    it(`${path} ${path in IGNORED ? 'is reported as ignored' : 'has its effect'}`, async () => {
      const without = DEFAULTS.includes(path)
        ? changed(SPEGEL_FILE, path, false)
        : changed(SPEGEL_FILE, path);
      const rendered = await templateWithKey(without);
      const ignored = IGNORED[path];
      if (ignored === undefined) {
        assert.notDeepEqual(rendered, whole);
      } else {
        assert.match(notes, ignored);
        if (path !== 'image.repository') assert.deepEqual(rendered, whole);
      }
    });
  }

  it('runs our image instead of that of Spegel', () => {
    const images = JSON.stringify(whole).match(/"image":"[^"]+"/g) ?? [];
    assert.deepEqual([...new Set(images)].sort(), [
      '"image":"localhost/peerglass:0.1.0"',
      '"image":"registry.example/wait:1.0"',
    ]);
  });

  it('is warned of values that the chart does not know', async () => {
    const values = { spegel: { blobSpeed: '1MBps' }, kubeconfig: 'x', global: { y: 1 } };
    await using api = await KubernetesApi.start();
    const { notes: warnings } = await install(values, api);
    assert.match(warnings, /spegel\.blobSpeed: ignored, this chart knows no such value/);
    assert.match(warnings, /kubeconfig: ignored/);
    assert.doesNotMatch(warnings, /global/);
  });

  for (const [former, value, today] of [
    ['appendMirrors', true, 'prependExisting'],
    ['registries', ['https://docker.io'], 'mirroredRegistries'],
    ['mirrorRegistries', ['https://docker.io'], 'mirroredRegistries'],
    ['additionalMirrorRegistries', ['http://192.0.2.8:5000'], 'additionalMirrorTargets'],
    ['extraMirrorRegistries', ['http://192.0.2.8:5000'], 'additionalMirrorTargets'],
  ] as const) {
    it(`may have the former name ${former} for ${today}`, async () => {
      const [old, current, none] = await Promise.all([
        templateWithKey({ spegel: { [former]: value } }),
        templateWithKey({ spegel: { [today]: value } }),
        templateWithKey({}),
      ]);
      assert.deepEqual(old, current);
      assert.notDeepEqual(old, none);
      await using api = await KubernetesApi.start();
      assert.doesNotMatch((await install({ spegel: { [former]: value } }, api)).notes, /WARNING/);
    });
  }

  it('may say by a former name whether latest is shared, and peerglass overrides it', async () => {
    const old = { spegel: { resolveLatestTag: true } };
    const args = async (values: unknown): Promise<string> =>
      JSON.stringify(await template(values, KUBERNETES));
    assert.match(await args(old), /"--enable-latest=true"/);
    assert.match(
      await args({ ...old, peerglass: { enableLatest: false } }),
      /"--enable-latest=false"/,
    );
  });

  it('prefers the names of today to the former ones', async () => {
    const spegel = { prependExisting: false, appendMirrors: true };
    const text = JSON.stringify(await template({ spegel }, KUBERNETES));
    assert.match(text, /"--prepend-existing=false"/);
    assert.doesNotMatch(text, /"--prepend-existing=true"/);
  });

  it('is warned of values that need a newer Kubernetes', async () => {
    await using api = await KubernetesApi.start({}, 33);
    const values = { service: { registry: { usePreferSameNodeTrafficDistribution: true } } };
    assert.match((await install(values, api)).notes, /TrafficDistribution: ignored/);
  });

  it('is warned of a memory limit that is too low', () => {
    assert.match(notes, /resources\.limits\.memory: 150Mi is little/);
  });
});

describe("k3s' embedded mirror", { skip: reason ?? false }, () => {
  const label = 'p2p.k3s.cattle.io/enabled';
  const k3s = { peerglass: { preset: 'k3s' } };

  it('is refused if a node has enabled it', async () => {
    await using api = await KubernetesApi.start({ a: {}, b: { [label]: 'true' } });
    await assert.rejects(install(k3s, api), /embedded mirror of k3s is on at node b/);
  });

  it('is refused also for RKE2', async () => {
    await using api = await KubernetesApi.start({ b: { [label]: 'true' } });
    await assert.rejects(install({ peerglass: { preset: 'rke2' } }, api), /is on at node b/);
  });

  it('is mentioned in the notes, because nodes may join later', async () => {
    await using api = await KubernetesApi.start({ a: {}, b: { [label]: 'false' } });
    assert.match((await install(k3s, api)).notes, /embedded mirror of k3s must stay off/);
  });

  it('is accepted if the check is disabled, and then the notes do not say that it must be off', async () => {
    await using api = await KubernetesApi.start({ b: { [label]: 'true' } });
    const values = { peerglass: { preset: 'k3s', checkEmbeddedRegistry: false } };
    const { notes } = await install(values, api);
    assert.match(notes, /embedded mirror of k3s may run beside/);
    assert.doesNotMatch(notes, /must/);
  });

  it('is ignored without k3s', async () => {
    await using api = await KubernetesApi.start({ b: { [label]: 'true' } });
    await install({}, api);
  });
});
