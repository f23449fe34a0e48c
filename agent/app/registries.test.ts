import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { parseHostsToml } from '../hosts/hosts-toml.ts';
import { LayoutUnderTest } from '../testing/layout-fixture.ts';
import { PROGRAMS, freePort, runProgram, spawnProgram } from '../testing/agent-program.ts';
import { eventually } from '../testing/eventually.ts';
import { fileTree } from '../testing/file-tree.ts';
import { makeImage } from '../testing/image.ts';

const GOOD = `mirrors:
  docker.io:
    endpoint: ["https://m.example"]
configs:
  m.example:
    auth: { username: hunter2, password: hunter2 }
`;
const BAD = `mirrors:
  *:
configs:
  m.example:
    auth:
      passwrod: hunter2
`;

// What ships; that the sources are the same program is for program.test.ts to show.
const program = PROGRAMS.bundle;

describe('registries.yaml', () => {
  let folder: string;
  let file: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-cli-registries-'));
    file = join(folder, 'registries.yaml');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('check-registries says that all is well, and ends with 0', async () => {
    writeFileSync(file, GOOD);
    const { code, stdout, stderr } = await runProgram(program, ['check-registries', file]);
    assert.deepEqual([code, stdout, stderr], [0, `${file}: ok, mirrors docker.io\n`, '']);
  });

  it('check-registries says what is wrong where, and ends with 1', async () => {
    writeFileSync(file, BAD);
    const { code, stdout, stderr } = await runProgram(program, ['check-registries', file]);
    assert.equal(code, 1, stderr);
    assert.equal(
      stdout,
      `${file}:2:3: error: the star needs quotes: YAML reads it as an alias
  2 |   *:
    |   ^
    =   "*":

${file}:4:3: warning: "m.example" is neither an endpoint nor a registry under mirrors; it is used only for images whose name begins with it
  4 |   m.example:
    |   ^

${file}:6:7: error: k3s does not know "passwrod" under auth, and ignores it; did you mean password?
  6 |       passwrod: [hidden]
    |       ^
    =       password: [hidden]

${file}: 2 errors, 1 warning
`,
    );
  });

  it('check-registries ends with 0 for warnings alone', async () => {
    writeFileSync(file, 'mirrors:\n  index.docker.io:\n');
    const { code, stdout } = await runProgram(program, ['check-registries', file]);
    assert.equal(code, 0);
    assert.match(stdout, /: warning: .*\n(.*\n)*.*: 0 errors, 1 warning\n$/);
  });

  it('check-registries tells machines the same', async () => {
    writeFileSync(file, BAD);
    const words = ['check-registries', file, '--output', 'json'];
    const { code, stdout } = await runProgram(program, words);
    assert.equal(code, 1);
    const report = JSON.parse(stdout) as { errors: number; findings: object[] };
    assert.equal(report.errors, 2);
    assert.deepEqual(report.findings[0], {
      severity: 'error',
      code: 'unquoted-star',
      line: 2,
      column: 3,
      message: 'the star needs quotes: YAML reads it as an alias',
      source: '  *:',
      correction: '  "*":',
    });
    assert.doesNotMatch(stdout, /hunter2/);
  });

  it('check-registries refuses what is no such file in one line', async () => {
    const large = join(folder, 'large.yaml');
    writeFileSync(large, '');
    truncateSync(large, 10_000_000);
    for (const [words, exit, says] of [
      [[join(folder, 'none')], 1, /none: cannot be read: no such file/],
      [[large], 1, /large\.yaml: 10000000 bytes; .* is not read/],
      [[], 2, /missing required argument 'FILE'/],
      [[file, file], 2, /too many arguments/],
    ] as const) {
      const { code, stdout, stderr } = await runProgram(program, ['check-registries', ...words]);
      assert.equal(code, exit, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, says);
      assert.match(stderr, /^peerglass: [^\n]*\n$/);
    }
    const help = await runProgram(program, ['check-registries', '--help']);
    assert.match(help.stdout, /^Usage: peerglass check-registries FILE \[options\]/);
  });

  it('configuration writes what the file says, and never a credential', async () => {
    writeFileSync(file, GOOD);
    const certs = join(folder, 'certs.d');
    mkdirSync(certs);
    const words = [
      ...['configuration', '--registries-yaml', file],
      ...['--containerd-registry-config-path', certs],
      ...['--mirror-targets', 'http://127.0.0.1:5000'],
    ];
    const { code, stderr } = await runProgram(program, words);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /"level":"warn".*the credentials for m\.example are not written/);
    const toml = readFileSync(join(certs, 'docker.io/hosts.toml'), 'utf8');
    assert.deepEqual(parseHostsToml(toml), {
      server: 'https://registry-1.docker.io',
      hosts: [
        {
          url: 'http://127.0.0.1:5000',
          capabilities: ['pull', 'resolve'],
          dialTimeout: '2s',
        },
        { url: 'https://m.example', capabilities: ['pull', 'resolve'] },
      ],
    });
    assert.doesNotMatch(stderr + toml, /hunter2/);

    const closed = await runProgram(program, [...words, '--disable-default-registry-endpoint']);
    assert.equal(closed.code, 0, closed.stderr);
    const { server } = parseHostsToml(readFileSync(join(certs, 'docker.io/hosts.toml'), 'utf8'));
    assert.equal(server, 'http://127.0.0.1:5000');
  });

  it('configuration refuses a file with errors, and leaves everything as it was', async () => {
    const certs = join(folder, 'certs.d');
    const tree = fileTree(certs);
    const ca = 'configs: {m.example: {tls: {ca_file: /nowhere/ca.crt}}}';
    for (const [text, says] of [
      [BAD, /registries\.yaml:2:3: the star needs quotes.* \(and 1 more\); "peerglass check-/],
      [ca, /registries\.yaml:1:\d+: the CA file does not exist/],
      ['mirrors: &a {}', /registries\.yaml:1:10: an anchor is not allowed here/],
      ['mirrors: {}\nmirrors: {}', /registries\.yaml:2:1: duplicate key/],
    ] as const) {
      writeFileSync(file, text);
      const { code, stderr } = await runProgram(program, [
        ...['configuration', '--registries-yaml', file],
        ...['--containerd-registry-config-path', certs],
        ...['--mirror-targets', 'http://127.0.0.1:5000'],
      ]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /hunter2/);
      assert.deepEqual(fileTree(certs), tree);
    }
  });

  it('options that contradict each other are wrong usage', async () => {
    const mirror = ['--mirror-targets', 'http://127.0.0.1:5000'];
    const both = ['--registries-yaml', file, '--mirrored-registries', 'docker.io'];
    for (const [words, says] of [
      [['configuration', ...mirror, ...both], /only one of them/],
      [['registry', '--metrics-addr', '127.0.0.1:0', ...both], /only one of them/],
      [
        ['configuration', ...mirror, '--disable-default-registry-endpoint'],
        /needs --registries-yaml/,
      ],
    ] as const) {
      const { code, stderr } = await runProgram(program, words);
      assert.equal(code, 2, stderr);
      assert.match(stderr, says);
    }
  });

  it('registry does not start with a file that leaves open what is shared', async () => {
    for (const [text, says] of [
      [BAD, /registries\.yaml:2:3: the star needs quotes/],
      ['mirrors:\n  localhost:5000:\n', /registries\.yaml: it mirrors no registry/],
    ] as const) {
      writeFileSync(file, text);
      const { code, stderr } = await runProgram(program, [
        ...['registry', '--registries-yaml', file, '--oci-layout', folder],
        ...['metrics', 'registry', 'router'].flatMap((each) => [`--${each}-addr`, '127.0.0.1:0']),
      ]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /hunter2/);
    }
  });

  it('registry shares only what the file mirrors', async (t) => {
    // Not quite right, and clear all the same: told of, and no reason not to start.
    writeFileSync(file, `${GOOD.replace('username', 'usrname')}\n`);
    await using layout = await (await LayoutUnderTest.create()).begin();
    const images = new Map<string, string>();
    for (const registry of ['docker.io', 'ghcr.io']) {
      const { blobs, manifest } = makeImage(1000);
      for (const bytes of blobs.values()) await layout.putBlob(bytes);
      await layout.putImage(`${registry}/team/app:1.0`, manifest);
      images.set(registry, manifest.digest);
    }
    const port = await freePort();
    const child = spawnProgram(program, [
      ...['registry', '--registries-yaml', file, '--oci-layout', layout.path],
      ...['--metrics-addr', '127.0.0.1:0', '--router-addr', '127.0.0.1:0'],
      ...['--registry-addr', `127.0.0.1:${port}`],
    ]);
    t.after(() => child.kill('SIGKILL'));
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    const status = async (registry: string, reference: string): Promise<number> => {
      const path = `/v2/team/app/manifests/${reference}?ns=${registry}`;
      return (await fetch(`http://127.0.0.1:${port}${path}`, { method: 'HEAD' })).status;
    };
    await eventually(async () => {
      assert.equal(await status('docker.io', '1.0'), 200);
    });
    assert.equal(await status('ghcr.io', '1.0'), 404);
    assert.equal(await status('ghcr.io', images.get('ghcr.io') ?? ''), 404);
    assert.match(log, /"registries":\["docker\.io"\]/);
    assert.match(log, /"level":"warn".*"line":6,.*does not know \\"usrname\\"/);
    assert.doesNotMatch(log, /hunter2/);
  });
});
