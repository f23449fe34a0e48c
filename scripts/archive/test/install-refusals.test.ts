import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { fileTree } from '../../../agent/testing/file-tree.ts';
import { InstallerUnderTest, run } from './installer.ts';

let installer: InstallerUnderTest;
beforeEach(() => {
  installer = new InstallerUnderTest();
});
afterEach(() => {
  installer.remove();
});

describe('the installer', () => {
  const refusals: readonly [string, readonly string[], number, RegExp][] = [
    ['unknown options', ['--k8s'], 2, /unknown option --k8s; see --help/],
    ['an option without its value', ['--prefix'], 2, /--prefix needs a value/],
    ['a relative folder', ['--prefix', 'opt'], 2, /an absolute path is needed/],
    ['a folder that sed would misread', ['--prefix', '/a|b'], 2, /only letters/],
    ['a peer that is a name alone', ['--bootstrap', 'node-1'], 2, /NAME:PORT nor a multiaddr/],
    ['a peer without a host', ['--bootstrap', ':5001'], 2, /--bootstrap :5001: neither/],
    ['a port out of range', ['--bootstrap', '10.0.0.1:65536'], 2, /10\.0\.0\.1:65536: neither/],
    ['a port that is no number', ['--bootstrap', '10.0.0.1:x'], 2, /neither IP, IP:PORT/],
    ['IPv4 with two ports', ['--bootstrap', '10.0.0.1:5001:'], 2, /10\.0\.0\.1:5001:: neither/],
    ['brackets around IPv4', ['--bootstrap', '[10.0.0.1]:5001'], 2, /neither IP, IP:PORT/],
    ['a URL as a peer', ['--bootstrap', 'http://node-1:5001'], 2, /neither IP, IP:PORT/],
    ['to remove what is not there', ['--uninstall'], 1, /nothing is installed/],
  ];
  for (const [what, args, status, message] of refusals) {
    it(`refuses ${what}`, () => {
      const before = fileTree(installer.root);
      const outcome = run(join(installer.archive, 'install'), '--root', installer.root, ...args);
      assert.equal(outcome.status, status, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.deepEqual(fileTree(installer.root), before);
    });
  }

  it('refuses to replace a file of another program', () => {
    mkdirSync(join(installer.root, 'usr/local/bin'), { recursive: true });
    writeFileSync(join(installer.root, 'usr/local/bin/peerglass'), 'mine');
    const { status, stderr } = run(join(installer.archive, 'install'), '--root', installer.root);
    assert.equal(status, 1);
    assert.match(stderr, /\/usr\/local\/bin\/peerglass is there already/);
    run(join(installer.archive, 'install'), '--root', installer.root, '--uninstall');
    assert.equal(installer.read('usr/local/bin/peerglass'), 'mine');
  });

  it('refuses an archive for another machine, and a folder that is not an archive', () => {
    writeFileSync(join(installer.archive, 'architecture'), 'riscv64\n');
    const other = run(join(installer.archive, 'install'), '--dry-run');
    assert.match(other.stderr, /this archive is for riscv64, and this machine is/);
    rmSync(join(installer.archive, 'architecture'));
    const none = run(join(installer.archive, 'install'), '--dry-run');
    assert.match(none.stderr, /not an unpacked release archive: scripts\/build-archive/);
    assert.deepEqual([other.status, none.status], [1, 1]);
  });

  it('refuses a root that does not exist', () => {
    for (const more of [[], ['--dry-run'], ['--uninstall']]) {
      const { status, stderr } = run(
        join(installer.archive, 'install'),
        '--root',
        `${installer.root}/none`,
        ...more,
      );
      assert.equal(status, 2, stderr);
      assert.match(stderr, /^peerglass: --root .*\/none: no such folder; make it first\n$/);
    }
  });

  it('refuses a machine on which Node.js does not run', () => {
    writeFileSync(join(installer.archive, 'node'), '#!/bin/sh\necho no libstdc++ >&2\nexit 127\n');
    const { status, stderr } = run(join(installer.archive, 'install'), '--dry-run');
    assert.equal(status, 1);
    assert.match(stderr, /Node\.js does not run here: no libstdc\+\+/);
  });

  it('refuses a host without containerd', async () => {
    // The script checks paths of the host itself, so the test replaces the one of the options.
    const env = join(installer.folder, 'peerglass.env');
    const script = readFileSync(join(installer.archive, 'install'), 'utf8');
    const own = script.replace('options=/etc/peerglass/peerglass.env', `options=${env}`);
    writeFileSync(join(installer.archive, 'install'), own);
    const socket = join(installer.folder, 'c.sock');
    writeFileSync(env, `CONTAINERD_SOCK=${socket}\n`);
    const without = run(join(installer.archive, 'install'), '--dry-run');
    assert.equal(without.status, 1);
    assert.match(without.stderr, new RegExp(`no socket ${socket}: start containerd`));
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      assert.equal(run(join(installer.archive, 'install'), '--dry-run').status, 0);
    } finally {
      server.close();
    }
  });

  it(
    'refuses a user who is not root',
    { skip: process.getuid?.() !== 0 && 'needs root to drop it' },
    () => {
      chmodSync(installer.folder, 0o755);
      const words = ['--reuid', '65534', '--clear-groups', join(installer.archive, 'install')];
      const { status, stderr } = run('setpriv', ...words);
      assert.equal(status, 1);
      assert.match(stderr, /not root: run it with sudo/);
    },
  );
});
