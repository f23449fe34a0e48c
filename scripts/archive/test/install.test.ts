import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { environmentName, type OptionTable } from '../../../agent/config/options.ts';
import { SUBCOMMANDS } from '../../../agent/config/subcommands.ts';
import {
  formatSwarmKey,
  newSwarmKey,
  parseSwarmKeys,
} from '../../../agent/membership/swarm-key.ts';
import { fileTree } from '../../../agent/testing/file-tree.ts';
import { parseUnit, serviceCommand } from '../../../e2e/harness/systemd-unit.ts';
import { DEPLOY, InstallerUnderTest, run } from './installer.ts';

const UNIT = 'etc/systemd/system/peerglass.service';
const OPTIONS = 'etc/peerglass/peerglass.env';
const KEY = 'etc/peerglass/swarm.key';

/** Variables of the agent, and those of Node.js and the C library. */
const VARIABLES = new Set([
  ...Object.entries(SUBCOMMANDS.registry.options as OptionTable).map(([flag, option]) =>
    environmentName(flag, option),
  ),
  ...['MALLOC_ARENA_MAX', 'NODE_ENV', 'NODE_OPTIONS', 'NODE_USE_SYSTEM_CA'],
]);

let installer: InstallerUnderTest;
beforeEach(() => {
  installer = new InstallerUnderTest();
});
afterEach(() => {
  installer.remove();
});

/** The environment of the installed service. */
function environment(): Readonly<Record<string, string>> {
  return serviceCommand(parseUnit(installer.read(UNIT)), (path) => installer.read(path)).env;
}

describe('the installer', () => {
  it('removes everything that it installed', () => {
    writeFileSync(join(installer.root, 'etc/rc.local'), 'of the host');
    const before = fileTree(installer.root);
    installer.install('--k3s', '--bootstrap', '10.0.0.1');
    assert.equal(installer.read('usr/local/lib/peerglass/peerglass.mjs'), 'peerglass.mjs');
    assert.match(
      fileTree(installer.root)['etc/systemd/system/multi-user.target.wants/peerglass.service'] ??
        '',
      /^link \/etc\/systemd\/system\/peerglass\.service$/,
    );
    // The service would have created this folder.
    mkdirSync(join(installer.root, 'var/lib/peerglass'), { recursive: true });
    const { status, stderr } = run(
      join(installer.root, 'usr/local/lib/peerglass/install'),
      '--uninstall',
    );
    assert.equal(status, 0, stderr);
    // The host, not the script, created this folder.
    rmSync(join(installer.root, 'var'), { recursive: true });
    assert.deepEqual(fileTree(installer.root), before);
  });

  it('keeps files of other programs, and reports them', () => {
    installer.install();
    writeFileSync(join(installer.root, 'etc/peerglass/tls.key'), '');
    const { stderr } = run(
      join(installer.archive, 'install'),
      '--root',
      installer.root,
      '--uninstall',
    );
    assert.match(stderr, /etc\/peerglass is kept/);
    assert.deepEqual(Object.keys(fileTree(join(installer.root, 'etc/peerglass'))), [
      '.',
      'tls.key',
    ]);
  });

  it('changes nothing when it is run again', () => {
    installer.install('--bootstrap', '10.0.0.1');
    const before = fileTree(installer.root);
    const { stderr } = installer.install('--bootstrap', '10.0.0.1');
    assert.equal(stderr, '');
    assert.deepEqual(fileTree(installer.root), before);
  });

  it('upgrades, and keeps edited options and an edited unit', () => {
    installer.install('--k3s');
    for (const path of [OPTIONS, UNIT])
      writeFileSync(join(installer.root, path), `${installer.read(path)}# mine\n`);
    writeFileSync(join(installer.archive, 'peerglass.mjs'), 'newer');
    const { stderr } = installer.install('--bootstrap', '10.0.0.1');
    assert.equal(installer.read('usr/local/lib/peerglass/peerglass.mjs'), 'newer');
    for (const path of [OPTIONS, UNIT]) assert.match(installer.read(path), /# mine\n$/);
    assert.match(stderr, /add it if it is meant: STATIC_BOOTSTRAP_PEERS=\/ip4\/10\.0\.0\.1/);
    assert.match(stderr, /peerglass\.service was written by hand and is kept/);
  });

  it('replaces the unit of the previous version', () => {
    installer.install();
    const unit = readFileSync(join(DEPLOY, 'peerglass.service'), 'utf8');
    writeFileSync(join(installer.archive, 'peerglass.service'), `${unit}# newer\n`);
    assert.equal(installer.install().stderr, '');
    assert.match(installer.read(UNIT), /# newer\n$/);
  });

  it('keeps options that existed before the first installation', () => {
    mkdirSync(join(installer.root, 'etc/peerglass'));
    writeFileSync(join(installer.root, OPTIONS), 'LOG_LEVEL=WARN\n');
    const before = fileTree(installer.root);
    installer.install();
    run(join(installer.archive, 'install'), '--root', installer.root, '--uninstall');
    assert.deepEqual(fileTree(installer.root), before);
  });

  it('makes a swarm key that only root can read, and keeps it', () => {
    const { stdout } = installer.install();
    const key = installer.read(KEY);
    assert.equal(parseSwarmKeys(key).length, 1);
    assert.equal(statSync(join(installer.root, KEY)).mode & 0o777, 0o600);
    assert.match(stdout, /swarm\.key is a new key; .* --swarm-key FILE on the other hosts/);
    assert.equal(environment()['SWARM_KEY_FILE'], `/${KEY}`);
    assert.doesNotMatch(installer.install().stdout, /new key/);
    assert.equal(installer.read(KEY), key);
    rmSync(join(installer.root, KEY));
    installer.install();
    assert.notEqual(installer.read(KEY), key);
  });

  it('takes the swarm key of another host, also in the place of its own', () => {
    const file = join(installer.folder, 'swarm.key');
    for (const key of [newSwarmKey(), newSwarmKey()]) {
      writeFileSync(file, formatSwarmKey(key));
      assert.doesNotMatch(installer.install('--swarm-key', file).stdout, /new key/);
      assert.equal(installer.read(KEY), formatSwarmKey(key));
      assert.equal(statSync(join(installer.root, KEY)).mode & 0o777, 0o600);
    }
    const missing = join(installer.folder, 'missing');
    const words = ['--root', installer.root, '--swarm-key', missing];
    const { status, stderr } = run(join(installer.archive, 'install'), ...words);
    assert.equal(status, 2);
    assert.match(stderr, /--swarm-key .*missing: no such file/);
  });

  it('does not replace a swarm key that an administrator put there', () => {
    mkdirSync(join(installer.root, 'etc/peerglass'));
    writeFileSync(join(installer.root, KEY), formatSwarmKey(newSwarmKey()));
    const before = fileTree(installer.root);
    installer.install('--swarm-key', join(installer.root, KEY));
    installer.install();
    run(join(installer.archive, 'install'), '--root', installer.root, '--uninstall');
    assert.deepEqual(fileTree(installer.root), before);
  });

  it('does nothing in a dry run, and lists every file', () => {
    const before = fileTree(installer.root);
    const { stdout } = installer.install('--dry-run');
    assert.deepEqual(fileTree(installer.root), before);
    installer.install();
    const record = installer.read('usr/local/lib/peerglass/installed');
    for (const [, path = ''] of record.matchAll(/^(?:file|folder) (.*)$/gm)) {
      assert.ok(stdout.includes(`${installer.root}${path}`) || stdout.includes(` ${path}`), path);
    }
    const installed = fileTree(installer.root);
    assert.equal(installer.install('--uninstall', '--dry-run').status, 0);
    assert.deepEqual(fileTree(installer.root), installed);
  });

  it('writes the folder of the programs into the unit and the command', () => {
    installer.install('--prefix=/opt/mirror');
    const { command } = serviceCommand(parseUnit(installer.read(UNIT)), () => undefined);
    assert.equal(command[0], '/opt/mirror/lib/peerglass/node');
    assert.equal(command[1], '/opt/mirror/lib/peerglass/peerglass.mjs');
    assert.doesNotMatch(installer.read('opt/mirror/bin/peerglass'), /usr\/local/);
    const { status } = run(join(installer.root, 'opt/mirror/lib/peerglass/install'), '--uninstall');
    assert.equal(status, 0);
    assert.equal(fileTree(join(installer.root, 'opt'))['.'], undefined);
  });

  it('writes options that the agent accepts', () => {
    const peers = [
      ['10.0.0.1', '/ip4/10.0.0.1/tcp/5001'],
      ['10.88.0.1:5002', '/ip4/10.88.0.1/tcp/5002'],
      ['fd00::1', '/ip6/fd00::1/tcp/5001'],
      ['[fd00::1]:5003', '/ip6/fd00::1/tcp/5003'],
      ['[fd00::2]', '/ip6/fd00::2/tcp/5001'],
      ['node-1.example:5004', '/dns/node-1.example/tcp/5004'],
      ['/dns4/a.example/tcp/5001', '/dns4/a.example/tcp/5001'],
    ];
    installer.install('--rke2', '--bootstrap', peers.map(([written]) => written).join(','));
    const env = environment();
    const written = env['STATIC_BOOTSTRAP_PEERS']?.split(',');
    assert.deepEqual(
      written,
      peers.map(([, multiaddr]) => multiaddr),
    );
    assert.match(env['CONTAINERD_CONTENT_PATH'] ?? '', /\/rke2\//);
    for (const [flag, option] of Object.entries(SUBCOMMANDS.registry.options as OptionTable)) {
      const text = env[environmentName(flag, option)];
      if (text !== undefined) option.kind.parse(option.kind.list ? text.split(',') : [text]);
    }
    for (const name of Object.keys(env)) assert.ok(VARIABLES.has(name), name);
    const nomad = readFileSync(join(DEPLOY, 'peerglass.nomad.json'), 'utf8');
    const [, block = ''] = /"Env": \{([^}]*)\}/.exec(nomad) ?? [];
    for (const [, name = ''] of block.matchAll(/"(\w+)":/g)) assert.ok(VARIABLES.has(name), name);
  });

  it(
    'removes the files of an interrupted installation, and runs no program of others',
    {
      skip:
        process.getuid?.() !== 0 && 'needs root to mount its own folders over those of the host',
    },
    () => {
      writeFileSync(join(installer.archive, 'node'), '#!/bin/sh\necho node "$@"\n', {
        mode: 0o755,
      });
      // A systemctl that knows no units, and a program of another package, at which the installation stops.
      const { status, stdout, stderr } = run(
        'unshare',
        ...['--mount', 'sh', '-eu', '-c'],
        `mount -t tmpfs none /run && cp -a /etc /run/etc && mount --bind /run/etc /etc
        mkdir -p /etc/containerd/certs.d
        for folder in /usr/local /etc/systemd; do mount -t tmpfs none $folder; done
        mkdir -p /usr/local/bin /etc/systemd/system /run/systemd/system
        printf '#!/bin/sh\\ncase $1 in stop) echo not loaded >&2; exit 5 ;; esac\\n' >/usr/local/bin/systemctl
        printf '#!/bin/sh\\necho of others\\n' >/usr/local/bin/peerglass
        chmod +x /usr/local/bin/*
        PATH=/usr/local/bin:/usr/bin:/bin
        ! "$0/install" --no-start
        /usr/local/lib/peerglass/install --uninstall
        find /usr/local -type f`,
        installer.archive,
      );
      assert.equal(status, 0, stderr);
      assert.match(stderr, /peerglass is there already, and not from this script/);
      assert.match(stdout, /node .*\/usr\/local\/lib\/peerglass\/peerglass\.mjs cleanup/);
      assert.doesNotMatch(stdout, /of others/);
      assert.deepEqual(stdout.match(/^\/usr\/local.*/gm)?.sort(), [
        '/usr/local/bin/peerglass',
        '/usr/local/bin/systemctl',
      ]);
    },
  );

  it('warns of the embedded mirror of k3s', () => {
    mkdirSync(join(installer.root, 'etc/rancher/k3s'), { recursive: true });
    writeFileSync(join(installer.root, 'etc/rancher/k3s/config.yaml'), 'embedded-registry: true\n');
    assert.match(
      installer.install('--k3s').stderr,
      /embedded-registry: true, which takes port 5001/,
    );
  });
});
