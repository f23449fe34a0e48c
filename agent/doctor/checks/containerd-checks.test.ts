import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { describe, it } from 'node:test';

import { doctorStage, serveAgent } from '../../testing/doctor-facts.ts';
import { makeImage } from '../../testing/image.ts';
import { versionResult } from './containerd-checks.ts';

describe('the check containerd-reachable', () => {
  it('is ok when containerd answers', async (t) => {
    const { find } = await doctorStage(t, { version: '1.7.24' });
    const { outcome, reason } = await find('containerd-reachable');
    assert.equal(outcome, 'ok');
    assert.match(reason, /1\.7\.24/);
  });

  it('fails without a socket, and names the sockets that it tries', async (t) => {
    const { find } = await doctorStage(t, undefined);
    const { outcome, reason, remedy } = await find('containerd-reachable');
    assert.equal(outcome, 'failure');
    assert.match(reason, /none\.sock is not there/);
    assert.match(remedy ?? '', /\/run\/k3s\/containerd\/containerd\.sock/);
  });

  const root = process.getuid?.() === 0 ? false : 'needs root, to drop rights';
  it('is skipped without the right to open the socket', { skip: root }, async (t) => {
    const { init, find } = await doctorStage(t, {});
    chmodSync(init.socketPath, 0o600);
    for (const [folder, says] of [
      [0o755, /may be opened by root only/],
      [0o700, /is visible to root only/],
    ] as const) {
      chmodSync(dirname(init.socketPath), folder);
      process.seteuid?.(65_534);
      const finding = await find('containerd-reachable').finally(() => process.seteuid?.(0));
      assert.equal(finding.outcome, 'skipped');
      assert.match(finding.reason, says);
    }
  });

  it('fails when a program listens that never answers', async (t) => {
    const stage = await doctorStage(t, undefined);
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket)).listen(stage.init.socketPath);
    await once(silent, 'listening');
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    assert.equal((await stage.find('containerd-reachable')).outcome, 'failure');
    assert.equal((await stage.find('config-path')).outcome, 'skipped');
  });
});

describe('the check containerd-version', () => {
  for (const [version, outcome] of [
    ['1.6.20~ds1', 'ok'],
    ['v2.1.9', 'ok'],
    ['1.5.18', 'failure'],
    ['3.0.0', 'warning'],
    ['a1b2c3', 'warning'],
  ] as const) {
    it(`is ${outcome} for ${version}`, async (t) => {
      assert.equal(versionResult(version).outcome, outcome);
      const { find } = await doctorStage(t, { version });
      assert.equal((await find('containerd-version')).outcome, outcome);
    });
  }
});

describe('the check cri-plugin', () => {
  it('is ok when the CRI plugin answers', async (t) => {
    const { find } = await doctorStage(t, { cri: {} });
    assert.equal((await find('cri-plugin')).outcome, 'ok');
  });

  it('fails when containerd has no CRI plugin', async (t) => {
    const { find } = await doctorStage(t, {});
    const { outcome, remedy } = await find('cri-plugin');
    assert.equal(outcome, 'failure');
    assert.match(remedy ?? '', /disabled_plugins/);
  });
});

describe('the check agent-socket', () => {
  const images = { 'k8s.io': { 'registry.example/team/app:1.0': makeImage(10) } };
  const statusOf = (containerdSock: string, store: object) => ({
    '/debug/status': { settings: { containerdSock, namespace: 'k8s.io' }, store },
  });

  it('fails when the agent looks elsewhere, and says where containerd is', async (t) => {
    const store = { synced: false, images: 0 };
    const metricsAddress = await serveAgent(t, statusOf('/nowhere/containerd.sock', store));
    const { find, init } = await doctorStage(t, { images }, { metricsAddress });
    const { outcome, reason, remedy } = await find('agent-socket');
    assert.equal(outcome, 'failure');
    assert.match(reason, /at \/nowhere\/containerd\.sock and has no images, but .* has 1$/);
    assert.ok(remedy?.startsWith(`peerglass registry --containerd-sock ${init.socketPath}\n`));
  });

  it('fails when the agent follows another containerd, which has no images', async (t) => {
    const other = await doctorStage(t, {});
    const store = { synced: true, images: 0 };
    const metricsAddress = await serveAgent(t, statusOf(other.init.socketPath, store));
    const { find } = await doctorStage(t, { images }, { metricsAddress });
    assert.equal((await find('agent-socket')).outcome, 'failure');
  });

  it('is ok when the agent has images, by whatever path, and on a node without any', async (t) => {
    for (const [path, store, held] of [
      ['/mounted/containerd.sock', { synced: true, images: 1 }, images],
      ['/nowhere/containerd.sock', { synced: false, images: 0 }, {}],
    ] as const) {
      const metricsAddress = await serveAgent(t, statusOf(path, store));
      const { find } = await doctorStage(t, { images: held }, { metricsAddress });
      assert.equal((await find('agent-socket')).outcome, 'ok');
    }
  });

  it('is skipped for an agent over an image layout, and without an agent', async (t) => {
    const metricsAddress = await serveAgent(t, { '/debug/status': { settings: {} } });
    const layout = await doctorStage(t, { images }, { metricsAddress });
    assert.equal((await layout.find('agent-socket')).outcome, 'skipped');
    const none = await doctorStage(t, { images });
    assert.equal((await none.find('agent-socket')).outcome, 'skipped');
  });
});
