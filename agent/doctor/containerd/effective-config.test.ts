import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { doctorStage } from '../../testing/doctor-facts.ts';
import { configFile, contentFolder, effectiveConfig } from './effective-config.ts';

const neverCalled = () => Promise.reject(new Error('the process is not needed'));

describe('configFile', () => {
  for (const [command, file] of [
    [['/usr/bin/containerd'], '/etc/containerd/config.toml'],
    [['containerd', '--config', '/x.toml', '--root', '/r'], '/x.toml'],
    [['containerd', '-c', '/k3s.toml', '-a', '/c.sock'], '/k3s.toml'],
    [['containerd', '--config=/y.toml'], '/y.toml'],
  ] as const) {
    it(`is ${file} for ${command.join(' ')}`, () => {
      assert.equal(configFile(command), file);
    });
  }
});

describe('effectiveConfig', () => {
  it('takes what the CRI reports before containerd 2.0', async () => {
    const config = {
      registry: { configPath: '/x/certs.d' },
      containerd: { discardUnpackedLayers: true, snapshotter: 'stargz' },
    };
    const cri = { config, imageFolder: '' };
    assert.deepEqual(await effectiveConfig({ cri, process: neverCalled, file: '/x.toml' }), {
      configPath: '/x/certs.d',
      discardUnpackedLayers: true,
      snapshotter: 'stargz',
      file: '/x.toml',
    });
  });

  it('reads the file from containerd 2.0 on, and the snapshotter from the image folder', async (t) => {
    const { write } = await doctorStage(t, undefined);
    const file = write(
      'config.toml',
      'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/y"\n',
    );
    const cri = { config: {}, imageFolder: '/r/io.containerd.snapshotter.v1.zfs' };
    assert.deepEqual(await effectiveConfig({ cri, process: neverCalled, file }), {
      configPath: '/y',
      discardUnpackedLayers: false,
      snapshotter: 'zfs',
      file,
    });
  });

  it('does not take sections of version 2 from a file of version 3', async (t) => {
    const { write } = await doctorStage(t, undefined);
    const section = '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/y"\n';
    const cri = { config: {}, imageFolder: '' };
    for (const [version, configPath] of [
      [2, '/y'],
      [3, ''],
    ] as const) {
      const file = write('config.toml', `version = ${version}\n${section}`);
      const found = await effectiveConfig({ cri, process: neverCalled, file });
      assert.equal(found.configPath, configPath);
    }
  });

  it('skips the check when the file cannot be read', async () => {
    const cri = { config: {}, imageFolder: '' };
    await assert.rejects(effectiveConfig({ cri, process: neverCalled, file: '/nowhere.toml' }), {
      code: 'ERR_CHECK_SKIPPED',
      message: '/nowhere.toml cannot be read: ENOENT',
    });
  });
});

describe('contentFolder', () => {
  it('is below the root that the CRI reports', () => {
    const folder = (config: Record<string, unknown>) => contentFolder({ config, imageFolder: '' });
    assert.equal(folder({ containerdRootDir: '/r' }), '/r/io.containerd.content.v1.content');
    assert.equal(folder({}), undefined);
  });
});
