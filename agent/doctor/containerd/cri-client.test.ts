import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { ContainerdServer, type ContainerdServerInit } from '../../testing/containerd-server.ts';
import { criStatus, NoCriError } from './cri-client.ts';

async function start(t: TestContext, init: ContainerdServerInit): Promise<string> {
  const server = await ContainerdServer.start(init);
  t.after(() => {
    server[Symbol.dispose]();
  });
  return server.socketPath;
}

describe('criStatus', () => {
  it('returns the configuration of the plugin and the folder of the snapshotter', async (t) => {
    const imageFolder = '/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs';
    const cri = { containerdRootDir: '/var/lib/containerd' };
    assert.deepEqual(await criStatus(await start(t, { cri, imageFolder }), 2_000), {
      config: cri,
      imageFolder,
    });
  });

  it('throws NoCriError when containerd has no CRI plugin', async (t) => {
    await assert.rejects(criStatus(await start(t, {}), 2_000), NoCriError);
  });

  it('fails with another error when nothing listens', async () => {
    await assert.rejects(
      criStatus('/nowhere/containerd.sock', 2_000),
      (error) => !(error instanceof NoCriError),
    );
  });
});
