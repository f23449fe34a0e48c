import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { PROGRAMS, runProgram } from '../testing/agent-program.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { ContainerdServer } from '../testing/containerd-server.ts';
import { fileTree } from '../testing/file-tree.ts';
import { mirrorEntry, useCertsFolder } from '../testing/certs-folder.ts';

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('peerglass configuration', () => {
  const { folder, certs, where, parsed } = useCertsFolder();

  it("takes Spegel's flags and variables, and cleanup restores the folder", async () => {
    const tree = fileTree(folder);
    // IPv6 addresses are written for a containerd that reads them.
    using containerd = await ContainerdServer.start({ version: '2.1.9' });
    const flags = ['configuration', ...where, '--containerd-sock', containerd.socketPath];
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
      mirrorEntry(url, ['pull']),
    );
    assert.deepEqual(parsed('docker.io'), { server: 'https://registry-1.docker.io', hosts });
    assert.deepEqual(parsed('10.0.0.9:5000'), { server: 'http://10.0.0.9:5000', hosts });

    const all = await runProgram(program, ['configuration'], {
      MIRROR_TARGETS: 'http://127.0.0.1:5000',
      CONTAINERD_REGISTRY_CONFIG_PATH: certs,
    });
    assert.equal(all.code, 0, all.stderr);
    assert.deepEqual(parsed('_default'), { hosts: [mirrorEntry('http://127.0.0.1:5000')] });
    assert.deepEqual(
      Object.keys(fileTree(certs)),
      ['.', '_default', '_default/hosts.toml'],
      'no others',
    );

    assert.equal((await runProgram(program, ['cleanup', ...where])).code, 0);
    assert.deepEqual(fileTree(folder), tree);
  });

  it('names authorities and a certificate for mirrors with TLS only', async () => {
    const { code, stderr } = await runProgram(program, [
      ...['configuration', ...where, '--mirror-target-ca', '/pki/ca.crt'],
      ...['--mirror-targets', 'https://127.0.0.1:5000', 'http://10.0.0.9:5000'],
      ...['--mirror-target-cert', '/pki/node.crt', '--mirror-target-key', '/pki/node.key'],
    ]);
    assert.equal(code, 0, stderr);
    const tls = { ca: ['/pki/ca.crt'], client: [['/pki/node.crt', '/pki/node.key']] };
    const first = { ...mirrorEntry('https://127.0.0.1:5000'), ...tls };
    assert.deepEqual(parsed('_default'), { hosts: [first, mirrorEntry('http://10.0.0.9:5000')] });
  });

  it('writes the credentials of --basic-auth-dir for the owner only, and logs none', async () => {
    const users = join(folder, 'users');
    mkdirSync(users);
    writeFileSync(join(users, 'username'), 'mirror');
    const flags = ['configuration', ...where, '--mirror-targets', 'http://127.0.0.1:5002'];
    const run = (): ReturnType<typeof runProgram> =>
      runProgram(program, [...flags, '--basic-auth-dir', users, '--log-level', 'DEBUG']);
    const without = await run();
    assert.equal(without.code, 1);
    assert.match(without.stderr, /--basic-auth-dir .*\/password does not exist/);
    writeFileSync(join(users, 'password'), 'very secret\n');
    const { code, stderr, stdout } = await run();
    assert.equal(code, 0, stderr);
    const encoded = Buffer.from('mirror:very secret').toString('base64');
    const header = { Authorization: [`Basic ${encoded}`] };
    assert.deepEqual(parsed('_default'), {
      hosts: [{ ...mirrorEntry('http://127.0.0.1:5002'), header }],
    });
    assert.equal(statSync(join(certs, '_default/hosts.toml')).mode & 0o777, 0o600);
    for (const text of [stdout, stderr])
      assert.ok(!text.includes('very secret') && !text.includes(encoded));
    rmSync(users, { recursive: true });
  });

  it('writes the default file for * and _default, beside those of named registries', async () => {
    for (const all of ['*', '_default']) {
      const { code, stderr } = await runProgram(program, [
        ...['configuration', ...where, '--mirror-targets', '127.0.0.1:5000'],
        ...['--mirrored-registries', all, 'docker.io', 'https://registry-1.docker.io'],
      ]);
      assert.equal(code, 0, stderr);
      const hosts = [mirrorEntry('http://127.0.0.1:5000')];
      assert.deepEqual(parsed('_default'), { hosts });
      assert.deepEqual(parsed('docker.io'), { server: 'https://registry-1.docker.io', hosts });
    }
  });

  it('says which registries stay without the mirror, and how they get it', async () => {
    mkdirSync(join(certs, 'docker.io'));
    const cache = "[host.'https://cache.example']\n";
    writeFileSync(join(certs, 'docker.io/hosts.toml'), cache);
    const flags = ['configuration', ...where, '--mirror-targets', '127.0.0.1:5000'];
    for (const more of [[], ['--prepend-existing']]) {
      const { code, stderr } = await runProgram(program, [...flags, ...more]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /will not ask the mirror for docker\.io: .*hides _default/);
      assert.match(stderr, /--mirrored-registries '\*' docker\.io --prepend-existing/);
    }
    const named = ['--mirrored-registries', '*', 'docker.io', '--prepend-existing'];
    const { stderr } = await runProgram(program, [...flags, ...named]);
    assert.doesNotMatch(stderr, /will not ask/);
    const hosts = [mirrorEntry('http://127.0.0.1:5000')];
    assert.deepEqual(parsed('_default'), { hosts });
    assert.deepEqual(parsed('docker.io').hosts.slice(0, 1), hosts);
    assert.equal(parsed('docker.io').hosts.length, 2);
  });

  it('writes no IPv6 address for a containerd that would ignore the file', async () => {
    const tree = fileTree(certs);
    const flags = ['configuration', ...where, '--mirror-targets', 'http://[fd88::2]:5000'];
    using old = await ContainerdServer.start({ version: '1.7.24' });
    for (const [socket, says] of [
      [
        old.socketPath,
        /containerd 1\.7\.24 ignores a hosts\.toml with an IPv6 address; name it by/,
      ],
      ['/nowhere/c.sock', /does not say its version .*\/nowhere\/c\.sock.*--containerd-sock/],
    ] as const) {
      const outcome = await runProgram(program, [...flags, '--containerd-sock', socket]);
      assert.equal(outcome.code, 1, outcome.stderr);
      assert.match(outcome.stderr, says);
      assert.match(outcome.stderr, /^peerglass: .*\n$/);
      assert.deepEqual(fileTree(certs), tree);
    }
  });

  for (const [args, code, says] of [
    [[], 2, /--mirror-targets is needed/],
    [['--mirror-targets', 'http://a/b'], 2, /--mirror-targets: "http:\/\/a\/b" .*path/],
    [['--mirror-targets', 'http://a', '--mirror-target-ca', '/ca.crt'], 2, /https:\/\/ mirrors/],
    [['--mirror-targets', 'https://a', '--mirror-target-ca', 'ca.crt'], 2, /no absolute path/],
    [['--mirror-targets', 'https://a', '--mirror-target-ca-copy', '/nowhere'], 1, /does not exist/],
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
    it(`refuses wrong options in one line, and changes no file: ${args.join(' ')}`, async () => {
      mkdirSync(join(certs, 'quay.io'));
      writeFileSync(join(certs, 'quay.io/hosts.toml'), 'server = \n');
      const tree = fileTree(certs);
      const outcome = await runProgram(program, ['configuration', ...where, ...args]);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, says);
      assert.match(outcome.stderr, /^peerglass: .*\n$/);
      assert.deepEqual(fileTree(certs), tree);
    });
  }

  it(
    'copies the authority of the mirror for containerd, renews the copy, and cleanup removes it',
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
            ...['configuration', ...where, '--mirror-targets', 'https://127.0.0.1:30020'],
            ...['--mirror-target-ca-copy', ca],
          ]);
          assert.equal(code, 0, stderr);
          assert.deepEqual(readFileSync(copy), readFileSync(ca));
          assert.match(
            readFileSync(join(certs, '_default/hosts.toml'), 'utf8'),
            new RegExp(`ca = \\['${copy}'\\]`),
          );
        }
        const cleaned = await runProgram(program, ['cleanup', ...where]);
        assert.equal(cleaned.code, 0, cleaned.stderr);
        assert.deepEqual(fileTree(folder), tree);
      }
      mkdirSync(certs);
      writeFileSync(copy, 'of a run before');
      const flags = ['--mirror-targets', 'http://127.0.0.1:30020'];
      await runProgram(program, ['configuration', ...where, ...flags]);
      assert.ok(!existsSync(copy), 'no file names it any more');
    },
  );

  it(
    'writes nothing when the files are correct already, so that it works on a read-only file system',
    { skip: process.getuid?.() !== 0 && 'needs root to mount' },
    async () => {
      const flags = [...where, '--mirror-targets', 'http://127.0.0.1:30020'];
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
});
