import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { doctorStage, serveAgent, type DoctorStage } from '../../testing/doctor-facts.ts';

/** The configuration that containerd before 2.0 reports over the CRI. */
function oldCri(configPath: string, discardUnpackedLayers = false, snapshotter = 'overlayfs') {
  return { registry: { configPath }, containerd: { discardUnpackedLayers, snapshotter } };
}

/** A node whose containerd reports nothing about images over the CRI, as from 2.0 on, with this configuration file. */
async function newNode(
  t: TestContext,
  config: (stage: DoctorStage) => string,
): Promise<DoctorStage> {
  const stage = await doctorStage(t, { cri: { containerdRootDir: '/var/lib/containerd' } });
  const configFile = stage.write('config.toml', config(stage));
  return await doctorStage(t, { cri: {} }, { configFile, certsFolder: stage.path('certs.d') });
}

describe('the check config-path', () => {
  it('is ok when containerd before 2.0 reads the folder of the files', async (t) => {
    const { init, find } = await doctorStage(
      t,
      { version: '1.7.24', cri: oldCri('/x/certs.d/') },
      {
        certsFolder: '/x/certs.d',
      },
    );
    assert.equal(init.certsFolder, '/x/certs.d');
    assert.equal((await find('config-path')).outcome, 'ok');
  });

  for (const [configPath, says] of [
    ['', /not set/],
    ['/elsewhere', /is \/elsewhere/],
  ] as const) {
    it(`fails for "${configPath}" and gives the lines to write`, async (t) => {
      const { find } = await doctorStage(t, { version: '1.7.24', cri: oldCri(configPath) });
      const { outcome, reason, remedy } = await find('config-path');
      assert.equal(outcome, 'failure');
      assert.match(reason, says);
      assert.match(
        remedy ?? '',
        /\[plugins\."io\.containerd\.grpc\.v1\.cri"\.registry\]\n {2}config_path = /,
      );
    });
  }

  it('warns about two folders before containerd 2.0, and fails from then on', async (t) => {
    const two = '/etc/containerd/certs.d:/etc/docker/certs.d';
    const old = await doctorStage(t, { version: '1.7.24', cri: oldCri(two) });
    assert.equal((await old.find('config-path')).outcome, 'warning');
    const young = await newNode(
      t,
      () =>
        `version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "${two}"\n`,
    );
    const { outcome, reason, remedy } = await young.find('config-path');
    assert.equal(outcome, 'failure');
    assert.match(reason, /takes them as one folder/);
    assert.match(remedy ?? '', /io\.containerd\.cri\.v1\.images/);
  });

  it('reads the configuration file of containerd 2.x, in its old form too', async (t) => {
    for (const section of ['io.containerd.cri.v1.images', 'io.containerd.grpc.v1.cri']) {
      const version = section.includes('grpc') ? 2 : 3;
      const { find } = await newNode(
        t,
        ({ path }) =>
          `version = ${version}\n[plugins."${section}".registry]\nconfig_path = "${path('certs.d')}"\n`,
      );
      assert.equal((await find('config-path')).outcome, 'ok', section);
    }
  });

  it('is skipped when the file is not TOML or missing', async (t) => {
    const { find } = await newNode(t, () => 'version = [');
    const { outcome, reason } = await find('config-path');
    assert.equal(outcome, 'skipped');
    assert.match(reason, /config\.toml cannot be read: not TOML/);
    const gone = await doctorStage(t, { cri: {} }, { configFile: '/nowhere/config.toml' });
    assert.match((await gone.find('config-path')).reason, /ENOENT/);
  });

  it('could not look when the process of containerd is another program', async (t) => {
    // The socket belongs to this very process, which prints no configuration.
    const { find } = await doctorStage(t, { cri: {} });
    const { outcome } = await find('config-path');
    assert.ok(outcome === 'skipped' || outcome === 'failure', outcome);
  });
});

describe('the check discard-unpacked-layers', () => {
  it('is ok when containerd keeps layers', async (t) => {
    const { find } = await doctorStage(t, { version: '1.6.20', cri: oldCri('/x') });
    assert.equal((await find('discard-unpacked-layers')).outcome, 'ok');
    const young = await newNode(t, () => 'version = 3\n');
    assert.equal((await young.find('discard-unpacked-layers')).outcome, 'ok');
  });

  it('fails when containerd discards layers, and names the section for its version', async (t) => {
    const { find } = await doctorStage(t, { version: '1.6.20', cri: oldCri('/x', true) });
    const old = await find('discard-unpacked-layers');
    assert.equal(old.outcome, 'failure');
    assert.match(old.remedy ?? '', /\[plugins\."io\.containerd\.grpc\.v1\.cri"\.containerd\]/);
    const young = await newNode(
      t,
      () =>
        'version = 3\n[plugins."io.containerd.cri.v1.images"]\ndiscard_unpacked_layers = true\n',
    );
    const found = await young.find('discard-unpacked-layers');
    assert.equal(found.outcome, 'failure');
    assert.match(found.remedy ?? '', /\[plugins\."io\.containerd\.cri\.v1\.images"\]/);
  });
});

describe('the check snapshotter', () => {
  for (const [name, outcome] of [
    ['overlayfs', 'ok'],
    ['stargz', 'warning'],
    ['soci', 'warning'],
  ] as const) {
    it(`is ${outcome} for ${name}`, async (t) => {
      const { find } = await doctorStage(t, { version: '1.7.24', cri: oldCri('/x', false, name) });
      assert.equal((await find('snapshotter')).outcome, outcome);
    });
  }

  it('takes the snapshotter from the image folder when the file names none', async (t) => {
    const imageFolder = '/var/lib/containerd/io.containerd.snapshotter.v1.nydus';
    const stage = await doctorStage(t, undefined);
    const configFile = stage.write('config.toml', 'version = 3\n');
    const { find } = await doctorStage(t, { cri: {}, imageFolder }, { configFile });
    const { outcome, reason } = await find('snapshotter');
    assert.equal(outcome, 'warning');
    assert.match(reason, /nydus/);
  });

  it('is skipped when the snapshotter is unknown', async (t) => {
    const stage = await doctorStage(t, undefined);
    const configFile = stage.write('config.toml', 'version = 3\n');
    const { find } = await doctorStage(t, { cri: {} }, { configFile });
    assert.equal((await find('snapshotter')).outcome, 'skipped');
  });
});

describe('the check content-path', () => {
  const cri = { containerdRootDir: '/var/lib/containerd' };
  for (const [contentPath, outcome] of [
    ['/var/lib/containerd/io.containerd.content.v1.content', 'ok'],
    ['/var/lib/rancher/k3s/agent/containerd/io.containerd.content.v1.content', 'warning'],
    [undefined, 'skipped'],
  ] as const) {
    it(`is ${outcome} when the agent reads ${contentPath ?? 'no folder'}`, async (t) => {
      const metricsAddress = await serveAgent(t, {
        '/debug/status': { settings: { contentPath } },
      });
      const { find } = await doctorStage(t, { cri }, { metricsAddress });
      assert.equal((await find('content-path')).outcome, outcome);
    });
  }
});
