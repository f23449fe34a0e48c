import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { describe, it } from 'node:test';

import { doctorStage } from '../../testing/doctor-facts.ts';
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
