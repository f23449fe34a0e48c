import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { parseHostsToml } from '../../hosts/hosts-toml.ts';
import { Authority, noOpenssl } from '../../testing/certificates.ts';
import { PROGRAMS, freePort, runProgram, spawnProgram } from '../../testing/agent-program.ts';
import { eventually } from '../../testing/eventually.ts';
import { fileTree } from '../../testing/file-tree.ts';

// What ships; that the sources are the same program is for program.test.ts to show.
const program = PROGRAMS.bundle;

describe("containerd's configuration", () => {
  let folder: string;
  let certs: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-cli-hosts-'));
    certs = join(folder, 'certs.d');
  });
  beforeEach(() => {
    rmSync(certs, { recursive: true, force: true });
    mkdirSync(certs);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const where = (): string[] => ['--containerd-registry-config-path', certs];
  const parsed = (name: string): unknown =>
    parseHostsToml(readFileSync(join(certs, name, 'hosts.toml'), 'utf8'));
  const mirror = (url: string, capabilities = ['pull', 'resolve']): unknown => ({
    url,
    capabilities,
    dialTimeout: '2s',
  });

  it("takes Spegel's flags and variables, and cleanup leaves no trace", async () => {
    const tree = fileTree(folder);
    const flags = ['configuration', ...where()];
    const { code, stderr } = await runProgram(program, [
      ...flags,
      ...['--mirror-targets', 'http://127.0.0.1:30020', 'http://[fd00::1]:30021'],
      ...[
        '--mirrored-registries',
        'https://docker.io',
        'http://10.0.0.9:5000',
        '--resolve-tags=false',
      ],
    ]);
    assert.equal(code, 0, stderr);
    const hosts = ['http://127.0.0.1:30020', 'http://[fd00::1]:30021'].map((url) =>
      mirror(url, ['pull']),
    );
    assert.deepEqual(parsed('docker.io'), { server: 'https://registry-1.docker.io', hosts });
    assert.deepEqual(parsed('10.0.0.9:5000'), { server: 'http://10.0.0.9:5000', hosts });

    const all = await runProgram(program, ['configuration'], {
      MIRROR_TARGETS: 'http://127.0.0.1:5000',
      CONTAINERD_REGISTRY_CONFIG_PATH: certs,
    });
    assert.equal(all.code, 0, all.stderr);
    assert.deepEqual(parsed('_default'), { hosts: [mirror('http://127.0.0.1:5000')] });
    assert.deepEqual(
      Object.keys(fileTree(certs)),
      ['.', '_default', '_default/hosts.toml'],
      'no others',
    );

    assert.equal((await runProgram(program, ['cleanup', ...where()])).code, 0);
    assert.deepEqual(fileTree(folder), tree);
  });

  it('names authorities and a certificate for mirrors with TLS, and for no others', async () => {
    const { code, stderr } = await runProgram(program, [
      ...['configuration', ...where(), '--mirror-target-ca', '/pki/ca.crt'],
      ...['--mirror-targets', 'https://127.0.0.1:5000', 'http://10.0.0.9:5000'],
      ...['--mirror-target-cert', '/pki/node.crt', '--mirror-target-key', '/pki/node.key'],
    ]);
    assert.equal(code, 0, stderr);
    const tls = { ca: ['/pki/ca.crt'], client: [['/pki/node.crt', '/pki/node.key']] };
    const first = { ...(mirror('https://127.0.0.1:5000') as object), ...tls };
    assert.deepEqual(parsed('_default'), { hosts: [first, mirror('http://10.0.0.9:5000')] });
  });

  it('gives * and _default a file beside those of named registries', async () => {
    for (const all of ['*', '_default']) {
      const { code, stderr } = await runProgram(program, [
        ...['configuration', ...where(), '--mirror-targets', '127.0.0.1:5000'],
        ...['--mirrored-registries', all, 'docker.io', 'https://registry-1.docker.io'],
      ]);
      assert.equal(code, 0, stderr);
      const hosts = [mirror('http://127.0.0.1:5000')];
      assert.deepEqual(parsed('_default'), { hosts });
      assert.deepEqual(parsed('docker.io'), { server: 'https://registry-1.docker.io', hosts });
    }
  });

  for (const [args, code, says] of [
    [[], 2, /--mirror-targets is needed/],
    [['--mirror-targets', 'http://a/b'], 2, /--mirror-targets: "http:\/\/a\/b" .*path/],
    [['--mirror-targets', 'http://a', '--mirror-target-ca', '/ca.crt'], 2, /https:\/\/ mirrors/],
    [['--mirror-targets', 'https://a', '--mirror-target-ca', 'ca.crt'], 2, /no absolute path/],
    [['--mirror-targets', 'https://a', '--mirror-target-ca-copy', '/nowhere'], 1, /is not there/],
    [
      [
        '--mirror-targets',
        'https://a',
        '--mirror-target-ca',
        '/a',
        '--mirror-target-ca-copy',
        '/b',
      ],
      2,
      /only one/,
    ],
    [['--mirror-targets', 'https://a', '--mirror-target-cert', '/a.crt'], 2, /give both/],
    [['--mirror-targets', 'http://a', '--mirrored-registries', '../x'], 2, /path/],
    [['--mirror-targets', 'http://a', '--mirrored-registries', '..'], 2, /no registry/],
    [['--mirror-targets', 'http://a', '--mirrored-registries', 'u:p@x'], 2, /user and password/],
    [
      ['--mirror-targets', 'http://a', '--mirrored-registries', 'http://x', 'https://x'],
      2,
      /x is given twice/,
    ],
    [
      ['--mirror-targets', 'http://a', '--mirrored-registries', 'quay.io', '--prepend-existing'],
      1,
      /quay\.io\/hosts\.toml: line 1: .*/,
    ],
  ] as const) {
    it(`refuses in one line, and changes nothing: ${args.join(' ')}`, async () => {
      mkdirSync(join(certs, 'quay.io'));
      writeFileSync(join(certs, 'quay.io/hosts.toml'), 'server = \n');
      const tree = fileTree(certs);
      const outcome = await runProgram(program, ['configuration', ...where(), ...args]);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, says);
      assert.match(outcome.stderr, /^peerglass: .*\n$/);
      assert.deepEqual(fileTree(certs), tree);
    });
  }

  it('is kept by a running agent once its mirror listens, and given back at its end', async (t) => {
    const tree = fileTree(certs);
    const [metricsPort, registryPort] = [await freePort(), await freePort()];
    const agent = spawnProgram(program, [
      'registry',
      ...['--oci-layout', join(folder, 'layout'), '--router-addr', '127.0.0.1:0'],
      ...['--metrics-addr', `127.0.0.1:${metricsPort}`],
      ...['--registry-addr', `:${registryPort}`, '--mirrored-registries', '*', 'quay.io'],
      ...[...where(), '--configure', '--configure-remove-on-exit'],
    ]);
    agent.stderr.resume();
    t.after(() => agent.kill('SIGKILL'));
    const hosts = [mirror(`http://127.0.0.1:${registryPort}`)];
    const configured = (): Promise<void> =>
      eventually(() => {
        assert.deepEqual(parsed('_default'), { hosts });
        assert.deepEqual(parsed('quay.io'), { server: 'https://quay.io', hosts });
      });
    await configured();
    const answer = await fetch(`http://127.0.0.1:${registryPort}/v2/`);
    assert.equal(answer.status, 200, 'it listens when a file names it');
    await answer.body?.cancel();
    const metrics = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
    assert.match(await metrics.text(), /^peerglass_hosts_files_written_total 2$/m);
    agent.kill('SIGTERM');
    const [code] = (await once(agent, 'exit')) as [number];
    assert.equal(code, 0);
    assert.deepEqual(fileTree(certs), tree);
  });

  it(
    'copies the authority of the mirror for containerd, renews the copy and takes it away',
    { skip: noOpenssl },
    async () => {
      await using authority = await Authority.create();
      await using next = await Authority.create('next');
      const copy = join(certs, '.peerglass-ca.crt');
      for (const made of [false, true]) {
        if (made) rmSync(certs, { recursive: true });
        const tree = fileTree(folder);
        for (const { ca } of [authority, next]) {
          const { code, stderr } = await runProgram(program, [
            ...['configuration', ...where(), '--mirror-targets', 'https://127.0.0.1:30020'],
            ...['--mirror-target-ca-copy', ca],
          ]);
          assert.equal(code, 0, stderr);
          assert.deepEqual(readFileSync(copy), readFileSync(ca));
          assert.match(
            readFileSync(join(certs, '_default/hosts.toml'), 'utf8'),
            new RegExp(`ca = \\['${copy}'\\]`),
          );
        }
        const cleaned = await runProgram(program, ['cleanup', ...where()]);
        assert.equal(cleaned.code, 0, cleaned.stderr);
        assert.deepEqual(fileTree(folder), tree);
      }
      mkdirSync(certs);
      writeFileSync(copy, 'of a run before');
      const flags = ['--mirror-targets', 'http://127.0.0.1:30020'];
      await runProgram(program, ['configuration', ...where(), ...flags]);
      assert.ok(!existsSync(copy), 'nothing names it any more');
    },
  );

  it(
    'leaves the authority where a file that was edited names it, for containerd fails without',
    { skip: noOpenssl },
    async () => {
      await using authority = await Authority.create();
      const copy = join(certs, '.peerglass-ca.crt');
      await runProgram(program, [
        ...['configuration', ...where(), '--mirror-targets', 'https://127.0.0.1:30020'],
        ...['--mirror-target-ca-copy', authority.ca],
      ]);
      const file = join(certs, '_default/hosts.toml');
      appendFileSync(file, '# mine\n');
      const kept = await runProgram(program, ['cleanup', ...where()]);
      assert.equal(kept.code, 0, kept.stderr);
      assert.match(readFileSync(file, 'utf8'), /# mine\n$/);
      assert.deepEqual(readFileSync(copy), readFileSync(authority.ca));
      assert.match(kept.stderr, /authority of the mirror is kept/);
      rmSync(file);
      const gone = await runProgram(program, ['cleanup', ...where()]);
      assert.equal(gone.code, 0, gone.stderr);
      assert.ok(!existsSync(copy), 'nothing names it any more');
    },
  );

  it(
    'has nothing to write where all is as it should be, on a read-only file system either',
    { skip: process.getuid?.() !== 0 && 'needs root to mount' },
    async () => {
      const flags = [...where(), '--mirror-targets', 'http://127.0.0.1:30020'];
      await runProgram(program, ['configuration', ...flags]);
      const { status, stderr } = spawnSync(
        'unshare',
        [
          ...['--mount', 'sh', '-euc'],
          'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"',
          ...[certs, process.execPath, program, 'configuration', ...flags],
        ],
        { encoding: 'utf8' },
      );
      assert.equal(status, 0, stderr);
      assert.match(stderr, /containerd is configured already/);
    },
  );

  it('forgets what an agent kept, and nothing of others', async () => {
    const data = join(folder, 'data');
    const cleanup = ['cleanup', ...where(), '--data-dir', data];
    mkdirSync(data);
    const ours = ['private.key', 'private.key.0a1b.tmp', 'verdicts', 'verdicts.tmp'];
    for (const name of [...ours, 'private.key.bak']) writeFileSync(join(data, name), name);
    const kept = await runProgram(program, cleanup);
    assert.equal(kept.code, 0, kept.stderr);
    assert.match(kept.stderr, /"dataGone":false/);
    assert.deepEqual(readdirSync(data), ['private.key.bak']);
    rmSync(join(data, 'private.key.bak'));
    for (let run = 0; run < 2; run += 1) {
      const gone = await runProgram(program, cleanup);
      assert.equal(gone.code, 0, gone.stderr);
      assert.match(gone.stderr, /"dataGone":true/);
      assert.ok(!existsSync(data));
    }
    writeFileSync(data, '');
    const failed = await runProgram(program, cleanup);
    rmSync(data);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /ENOTDIR/);
  });

  it('waits until every cleanup has said that it is done, several times in a row', async (t) => {
    const port = await freePort();
    const wait = spawnProgram(program, [
      'cleanup-wait',
      ...['--probe-endpoint', `localhost:${port}`, '--period', '20ms', '--threshold', '2'],
    ]);
    t.after(() => wait.kill('SIGKILL'));
    let log = '';
    wait.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    await eventually(() => {
      assert.match(log, /not all nodes have answered/);
    });
    assert.doesNotMatch(log, /all nodes answered/);

    // Every address of the name has to answer, ::1 too where that is one.
    const cleanup = spawnProgram(program, ['cleanup', ...where(), '--addr', `:${port}`]);
    t.after(() => cleanup.kill('SIGKILL'));
    cleanup.stderr.resume();
    const [code] = (await once(wait, 'exit')) as [number];
    assert.equal(code, 0, log);
    assert.equal(log.match(/all nodes answered/g)?.length, 2);
    assert.equal((await fetch(`http://localhost:${port}/other`)).status, 404);
    cleanup.kill('SIGTERM');
    const [ended] = (await once(cleanup, 'exit')) as [number];
    assert.equal(ended, 0);
  });

  it(
    'begins anew when a slow node appears',
    { skip: process.getuid?.() === 0 ? false : 'NOT TESTED: names of its own take root' },
    async (t) => {
      const port = await freePort();
      const names = join(folder, 'names');
      writeFileSync(names, '127.0.0.2 nodes\n');
      for (const address of ['127.0.0.2', '127.0.0.3']) {
        const cleanup = spawnProgram(program, [
          ...['cleanup', ...where(), '--addr', `${address}:${port}`],
        ]);
        t.after(() => cleanup.kill('SIGKILL'));
        const [said] = (await once(cleanup.stderr, 'data')) as [Buffer];
        assert.match(said.toString(), /cleaned up/);
      }
      const script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
      const flags = ['--probe-endpoint', `nodes:${port}`, '--threshold', '20', '--period', '100ms'];
      const wait = spawn(
        'unshare',
        [
          ...['--mount', 'sh', '-c', script, 'sh', names],
          ...[process.execPath, program, 'cleanup-wait', ...flags],
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      t.after(() => wait.kill('SIGKILL'));
      let log = '';
      wait.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
      await eventually(() => {
        assert.match(log, /"nodes":1,"msg":"all nodes answered"/);
      });
      appendFileSync(names, '127.0.0.3 nodes\n');
      const [code] = (await once(wait, 'exit')) as [number];
      assert.equal(code, 0, log);
      assert.equal(log.match(/"nodes":2,"msg":"all nodes answered"/g)?.length, 20, log);
    },
  );

  for (const [args, says] of [
    [[], /--probe-endpoint NAME:PORT is needed/],
    [['--probe-endpoint', ':1'], /--probe-endpoint NAME:PORT is needed/],
    [['--probe-endpoint', 'a:1', '--threshold', '0'], /at least 1/],
  ] as const) {
    it(`does not wait for nothing: ${args.join(' ')}`, async () => {
      const { code, stderr } = await runProgram(program, ['cleanup-wait', ...args]);
      assert.equal(code, 2);
      assert.match(stderr, says);
    });
  }

  it('stops to wait when it is told to', async () => {
    const wait = spawnProgram(program, ['cleanup-wait', '--probe-endpoint', '127.0.0.1:1']);
    await once(wait.stderr, 'data');
    wait.stderr.resume();
    wait.kill('SIGTERM');
    const [code] = (await once(wait, 'exit')) as [number];
    assert.equal(code, 1);
  });
});
