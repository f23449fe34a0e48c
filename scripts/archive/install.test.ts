import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { environmentName, type OptionTable } from '../../agent/config/options.ts';
import { SUBCOMMANDS } from '../../agent/config/subcommands.ts';
import { fileTree } from '../../agent/testing/file-tree.ts';
import { parseUnit, serviceCommand } from '../../e2e/harness/systemd-unit.ts';

const DEPLOY = join(import.meta.dirname, '../deploy');
const UNIT = 'etc/systemd/system/peerglass.service';
const OPTIONS = 'etc/peerglass/peerglass.env';
const MACHINE = process.arch === 'x64' ? 'x86_64' : 'aarch64';

/** Variables of the agent, and those of Node.js and the C library. */
const VARIABLES = new Set([
  ...Object.entries(SUBCOMMANDS.registry.options as OptionTable).map(([flag, option]) =>
    environmentName(flag, option),
  ),
  ...['MALLOC_ARENA_MAX', 'NODE_ENV', 'NODE_OPTIONS', 'NODE_USE_SYSTEM_CA'],
]);

let folder: string;
let archive: string;
let root: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peerglass-install-'));
  archive = join(folder, 'archive');
  root = join(folder, 'root');
  cpSync(DEPLOY, archive, { recursive: true });
  for (const name of ['peerglass.mjs', 'koffi.node', 'LICENSE', 'THIRD-PARTY']) {
    writeFileSync(join(archive, name), name);
  }
  writeFileSync(join(archive, 'architecture'), `${MACHINE}\n`);
  writeFileSync(join(archive, 'node'), '#!/bin/sh\necho v24\n', { mode: 0o755 });
  mkdirSync(join(root, 'etc/systemd/system'), { recursive: true });
  writeFileSync(join(root, 'etc/systemd/system/other.service'), '');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, ...args: readonly string[]): Outcome {
  return spawnSync(command, args, { encoding: 'utf8' });
}

function install(...args: readonly string[]): Outcome {
  const outcome = run(join(archive, 'install'), '--root', root, ...args);
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome;
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The environment of the installed service. */
function environment(): Readonly<Record<string, string>> {
  return serviceCommand(parseUnit(read(UNIT)), (path) => read(path)).env;
}

describe('the installer', () => {
  it('removes everything that it installed', () => {
    writeFileSync(join(root, 'etc/rc.local'), 'of the host');
    const before = fileTree(root);
    install('--k3s', '--bootstrap', '10.0.0.1');
    assert.equal(read('usr/local/lib/peerglass/peerglass.mjs'), 'peerglass.mjs');
    assert.match(
      fileTree(root)['etc/systemd/system/multi-user.target.wants/peerglass.service'] ?? '',
      /^link \/etc\/systemd\/system\/peerglass\.service$/,
    );
    // The service would have created this folder.
    mkdirSync(join(root, 'var/lib/peerglass'), { recursive: true });
    const { status, stderr } = run(join(root, 'usr/local/lib/peerglass/install'), '--uninstall');
    assert.equal(status, 0, stderr);
    // The host, not the script, created this folder.
    rmSync(join(root, 'var'), { recursive: true });
    assert.deepEqual(fileTree(root), before);
  });

  it('keeps files of other programs, and reports them', () => {
    install();
    writeFileSync(join(root, 'etc/peerglass/tls.key'), '');
    const { stderr } = run(join(archive, 'install'), '--root', root, '--uninstall');
    assert.match(stderr, /etc\/peerglass is kept/);
    assert.deepEqual(Object.keys(fileTree(join(root, 'etc/peerglass'))), ['.', 'tls.key']);
  });

  it('changes nothing when it is run again', () => {
    install('--bootstrap', '10.0.0.1');
    const before = fileTree(root);
    const { stderr } = install('--bootstrap', '10.0.0.1');
    assert.equal(stderr, '');
    assert.deepEqual(fileTree(root), before);
  });

  it('upgrades, and keeps edited options and an edited unit', () => {
    install('--k3s');
    for (const path of [OPTIONS, UNIT]) writeFileSync(join(root, path), `${read(path)}# mine\n`);
    writeFileSync(join(archive, 'peerglass.mjs'), 'newer');
    const { stderr } = install('--bootstrap', '10.0.0.1');
    assert.equal(read('usr/local/lib/peerglass/peerglass.mjs'), 'newer');
    for (const path of [OPTIONS, UNIT]) assert.match(read(path), /# mine\n$/);
    assert.match(stderr, /add it if it is meant: STATIC_BOOTSTRAP_PEERS=\/ip4\/10\.0\.0\.1/);
    assert.match(stderr, /peerglass\.service was written by hand and is kept/);
  });

  it('replaces the unit of the previous version', () => {
    install();
    const unit = readFileSync(join(DEPLOY, 'peerglass.service'), 'utf8');
    writeFileSync(join(archive, 'peerglass.service'), `${unit}# newer\n`);
    assert.equal(install().stderr, '');
    assert.match(read(UNIT), /# newer\n$/);
  });

  it('keeps options that existed before the first installation', () => {
    mkdirSync(join(root, 'etc/peerglass'));
    writeFileSync(join(root, OPTIONS), 'LOG_LEVEL=WARN\n');
    const before = fileTree(root);
    install();
    run(join(archive, 'install'), '--root', root, '--uninstall');
    assert.deepEqual(fileTree(root), before);
  });

  it('does nothing in a dry run, and lists every file', () => {
    const before = fileTree(root);
    const { stdout } = install('--dry-run');
    assert.deepEqual(fileTree(root), before);
    install();
    const record = read('usr/local/lib/peerglass/installed');
    for (const [, path = ''] of record.matchAll(/^(?:file|folder) (.*)$/gm)) {
      assert.ok(stdout.includes(`${root}${path}`) || stdout.includes(` ${path}`), path);
    }
    const installed = fileTree(root);
    assert.equal(install('--uninstall', '--dry-run').status, 0);
    assert.deepEqual(fileTree(root), installed);
  });

  it('writes the folder of the programs into the unit and the command', () => {
    install('--prefix=/opt/mirror');
    const { command } = serviceCommand(parseUnit(read(UNIT)), () => undefined);
    assert.equal(command[0], '/opt/mirror/lib/peerglass/node');
    assert.equal(command[1], '/opt/mirror/lib/peerglass/peerglass.mjs');
    assert.doesNotMatch(read('opt/mirror/bin/peerglass'), /usr\/local/);
    const { status } = run(join(root, 'opt/mirror/lib/peerglass/install'), '--uninstall');
    assert.equal(status, 0);
    assert.equal(fileTree(join(root, 'opt'))['.'], undefined);
  });

  it('writes options that the agent accepts', () => {
    install('--rke2', '--bootstrap', '10.0.0.1,fd00::1,/dns4/a.example/tcp/5001');
    const env = environment();
    assert.equal(
      env['STATIC_BOOTSTRAP_PEERS'],
      '/ip4/10.0.0.1/tcp/5001,/ip6/fd00::1/tcp/5001,/dns4/a.example/tcp/5001',
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
      writeFileSync(join(archive, 'node'), '#!/bin/sh\necho node "$@"\n', { mode: 0o755 });
      // A systemctl that knows no units, and a program of another package, at which the installation stops.
      const { status, stdout, stderr } = run(
        'unshare',
        ...['--mount', 'sh', '-eu', '-c'],
        `for folder in /usr/local /etc/systemd /run; do mount -t tmpfs none $folder; done
        mkdir -p /usr/local/bin /etc/systemd/system /run/systemd/system
        printf '#!/bin/sh\\ncase $1 in stop) echo not loaded >&2; exit 5 ;; esac\\n' >/usr/local/bin/systemctl
        printf '#!/bin/sh\\necho of others\\n' >/usr/local/bin/peerglass
        chmod +x /usr/local/bin/*
        PATH=/usr/local/bin:/usr/bin:/bin
        ! "$0/install" --no-start
        /usr/local/lib/peerglass/install --uninstall
        find /usr/local -type f`,
        archive,
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
    mkdirSync(join(root, 'etc/rancher/k3s'), { recursive: true });
    writeFileSync(join(root, 'etc/rancher/k3s/config.yaml'), 'embedded-registry: true\n');
    assert.match(install('--k3s').stderr, /embedded-registry: true, which takes port 5001/);
  });
});

describe('the installer', () => {
  const refusals: readonly [string, readonly string[], number, RegExp][] = [
    ['unknown options', ['--k8s'], 2, /unknown option --k8s; see --help/],
    ['an option without its value', ['--prefix'], 2, /--prefix needs a value/],
    ['a relative folder', ['--prefix', 'opt'], 2, /an absolute path is needed/],
    ['a folder that sed would misread', ['--prefix', '/a|b'], 2, /only letters/],
    ['a peer that is a name', ['--bootstrap', 'node-1'], 2, /neither an IP address nor/],
    ['to remove what is not there', ['--uninstall'], 1, /nothing is installed/],
  ];
  for (const [what, args, status, message] of refusals) {
    it(`refuses ${what}`, () => {
      const before = fileTree(root);
      const outcome = run(join(archive, 'install'), '--root', root, ...args);
      assert.equal(outcome.status, status, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.deepEqual(fileTree(root), before);
    });
  }

  it('refuses to replace a file of another program', () => {
    mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
    writeFileSync(join(root, 'usr/local/bin/peerglass'), 'mine');
    const { status, stderr } = run(join(archive, 'install'), '--root', root);
    assert.equal(status, 1);
    assert.match(stderr, /\/usr\/local\/bin\/peerglass is there already/);
    run(join(archive, 'install'), '--root', root, '--uninstall');
    assert.equal(read('usr/local/bin/peerglass'), 'mine');
  });

  it('refuses an archive for another machine, and a folder that is not an archive', () => {
    writeFileSync(join(archive, 'architecture'), 'riscv64\n');
    const other = run(join(archive, 'install'), '--dry-run');
    assert.match(other.stderr, /this archive is for riscv64, and this machine is/);
    rmSync(join(archive, 'architecture'));
    const none = run(join(archive, 'install'), '--dry-run');
    assert.match(none.stderr, /not an unpacked release archive: scripts\/build-archive/);
    assert.deepEqual([other.status, none.status], [1, 1]);
  });

  it('refuses a root that does not exist', () => {
    for (const more of [[], ['--dry-run'], ['--uninstall']]) {
      const { status, stderr } = run(join(archive, 'install'), '--root', `${root}/none`, ...more);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /^peerglass: --root .*\/none: no such folder; make it first\n$/);
    }
  });

  it('refuses a machine on which Node.js does not run', () => {
    writeFileSync(join(archive, 'node'), '#!/bin/sh\necho no libstdc++ >&2\nexit 127\n');
    const { status, stderr } = run(join(archive, 'install'), '--dry-run');
    assert.equal(status, 1);
    assert.match(stderr, /Node\.js does not run here: no libstdc\+\+/);
  });

  it('refuses a host without containerd', async () => {
    // The script checks paths of the host itself, so the test replaces the one of the options.
    const env = join(folder, 'peerglass.env');
    const script = readFileSync(join(archive, 'install'), 'utf8');
    const own = script.replace('options=/etc/peerglass/peerglass.env', `options=${env}`);
    writeFileSync(join(archive, 'install'), own);
    const socket = join(folder, 'c.sock');
    writeFileSync(env, `CONTAINERD_SOCK=${socket}\n`);
    const without = run(join(archive, 'install'), '--dry-run');
    assert.equal(without.status, 1);
    assert.match(without.stderr, new RegExp(`no socket ${socket}: start containerd`));
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      assert.equal(run(join(archive, 'install'), '--dry-run').status, 0);
    } finally {
      server.close();
    }
  });

  it(
    'refuses a user who is not root',
    { skip: process.getuid?.() !== 0 && 'needs root to drop it' },
    () => {
      chmodSync(folder, 0o755);
      const words = ['--reuid', '65534', '--clear-groups', join(archive, 'install')];
      const { status, stderr } = run('setpriv', ...words);
      assert.equal(status, 1);
      assert.match(stderr, /not root: run it with sudo/);
    },
  );
});
