import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { pino } from 'pino';

import { fileTree, touchTimes } from '../testing/file-tree.ts';
import { nodeFileOperations } from './file-operations.ts';
import { HostsConfigurator, type HostsReport } from './hosts-configurator.ts';
import { HostsConfigError } from './hosts-error.ts';
import { parseHostsToml, type HostEntry, type RegistryHosts } from './hosts-toml.ts';
import { K3S_HEADER } from './marker.ts';

const MIRROR = {
  url: 'http://127.0.0.1:5000',
  capabilities: ['pull', 'resolve'],
  dialTimeout: '200ms',
} as const;
const DEFAULT: RegistryHosts = { registry: '_default', file: { hosts: [MIRROR] } };
const HUB: RegistryHosts = {
  registry: 'docker.io',
  file: { server: 'https://registry-1.docker.io', hosts: [MIRROR] },
};
const THEIRS = [
  '# our cache',
  'server = "https://hub.example"   # not Docker',
  'client = [',
  '  ["a.cert", "a.key"],',
  ']',
  '',
  '# the cache',
  '[host."https://cache.example"]',
  '  capabilities = ["pull"]',
  '  ca = "cache.pem"',
  '[host."https://cache.example".header]',
  '  Authorization = "Basic c2VjcmV0"',
].join('\n');

const isRoot = process.getuid?.() === 0;
const never = new AbortController().signal;

let parent: string;
let root: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'peerglass-hosts-'));
  root = join(parent, 'certs.d');
  mkdirSync(root);
});
afterEach(() => {
  rmSync(parent, { recursive: true });
});

function configurator(path = root): HostsConfigurator {
  return new HostsConfigurator(
    { files: nodeFileOperations, logger: pino({ level: 'silent' }) },
    { path, lock: { waitMs: 300, silenceMs: 200 } },
  );
}

async function configure(
  wanted: readonly RegistryHosts[] = [DEFAULT],
  prependExisting = false,
): Promise<HostsReport> {
  return await configurator().configure(wanted, { prependExisting }, never);
}

const cleanup = (): Promise<HostsReport> => configurator().cleanup(never);

function write(name: string, content: string, mode = 0o644): string {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const parsed = (name: string): ReturnType<typeof parseHostsToml> => parseHostsToml(read(name));

describe('configuration', () => {
  it('writes one file a registry, with a marker, and takes them away without a trace', async () => {
    const before = fileTree(parent);
    const { written } = await configure([DEFAULT, HUB]);
    assert.deepEqual(written, [
      join(root, '_default/hosts.toml'),
      join(root, 'docker.io/hosts.toml'),
    ]);
    assert.deepEqual(parsed('_default/hosts.toml'), DEFAULT.file);
    assert.deepEqual(parsed('docker.io/hosts.toml'), HUB.file);
    assert.match(read('docker.io/hosts.toml'), /^# peerglass v1 sha256:/);
    assert.equal(statSync(join(root, 'docker.io/hosts.toml')).mode & 0o777, 0o644);
    assert.equal(statSync(join(root, 'docker.io')).mode & 0o777, 0o755);
    await cleanup();
    assert.deepEqual(fileTree(parent), before);
  });

  it('writes nothing at all the second time, and cleanup neither', async () => {
    write('docker.io/hosts.toml', THEIRS);
    const options = [[], [true]] as const;
    for (const [prepend] of options) {
      await configure([DEFAULT, HUB], prepend);
      const times = touchTimes(root);
      const report = await configure([DEFAULT, HUB], prepend);
      assert.deepEqual(report, { written: [], restored: [] });
      assert.deepEqual(touchTimes(root), times);
    }
    await cleanup();
    const times = touchTimes(root);
    assert.deepEqual(await cleanup(), { written: [], restored: [] });
    assert.deepEqual(touchTimes(root), times);
  });

  it('gives back what is no longer wanted, and writes what is new before', async () => {
    write('docker.io/hosts.toml', THEIRS);
    const before = fileTree(root);
    await configure([HUB]);
    const report = await configure([DEFAULT]);
    assert.deepEqual(report.written, [join(root, '_default/hosts.toml')]);
    assert.deepEqual(report.restored, [join(root, 'docker.io/hosts.toml')]);
    assert.equal(read('docker.io/hosts.toml'), THEIRS);
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });

  it('makes the folder, not those above it, and removes it', async () => {
    rmSync(root, { recursive: true });
    const before = fileTree(parent);
    await configure();
    assert.deepEqual(parsed('_default/hosts.toml'), DEFAULT.file);
    await cleanup();
    assert.deepEqual(fileTree(parent), before);
    const missing = configurator(join(parent, 'containerd/certs.d'));
    await assert.rejects(
      missing.configure([DEFAULT], { prependExisting: false }, never),
      /containerd does not exist.*--containerd-registry-config-path/,
    );
    assert.deepEqual(await missing.cleanup(never), { written: [], restored: [] });
    assert.deepEqual(fileTree(parent), before);
  });

  it('leaves the folder that it made when somebody put something into it', async () => {
    rmSync(root, { recursive: true });
    await configure([DEFAULT, HUB]);
    write('docker.io/ca.crt', 'certificate');
    write('quay.io/hosts.toml', THEIRS);
    await cleanup();
    assert.deepEqual(Object.keys(fileTree(root)), [
      '.',
      'docker.io',
      'docker.io/ca.crt',
      'quay.io',
      'quay.io/hosts.toml',
    ]);
  });

  it('takes the folder that containerd would', async () => {
    for (const [existing, expected] of [
      ['ghcr.io_5000_', 'ghcr.io_5000_'],
      ['ghcr.io:5000', 'ghcr.io:5000'],
      [undefined, 'ghcr.io:5000'],
    ] as const) {
      rmSync(root, { recursive: true });
      mkdirSync(root);
      if (existing !== undefined) mkdirSync(join(root, existing));
      const before = fileTree(root);
      await configure([{ registry: 'ghcr.io:5000', file: DEFAULT.file }]);
      assert.deepEqual(parsed(`${expected}/hosts.toml`), DEFAULT.file);
      await cleanup();
      assert.deepEqual(fileTree(root), before);
    }
  });
});

describe('what was there before', () => {
  it('is set aside, and comes back with content, mode, owner and time', async () => {
    const path = write('docker.io/hosts.toml', THEIRS, 0o640);
    write('docker.io/cache.pem', 'certificate', 0o600);
    if (isRoot) chownSync(path, 1234, 5678);
    utimesSync(path, 1_600_000_000, 1_600_000_000);
    const [before, { ino }] = [fileTree(parent), statSync(path)];
    await configure([DEFAULT, HUB]);
    assert.deepEqual(parsed('docker.io/hosts.toml'), HUB.file);
    assert.equal(read('docker.io/cache.pem'), 'certificate');
    await cleanup();
    assert.deepEqual(fileTree(parent), before);
    const after = statSync(path);
    assert.equal(after.mtimeMs, 1_600_000_000_000);
    assert.equal(after.ino, ino, 'the same file');
  });

  it('stays in use behind ours with --prepend-existing, every byte of it', async () => {
    write('docker.io/hosts.toml', THEIRS, 0o600);
    const before = fileTree(parent);
    await configure([HUB], true);
    const text = read('docker.io/hosts.toml');
    const ours = text.indexOf('# Hosts of peerglass');
    const rest = text.indexOf('# the cache');
    assert.ok(ours > 0 && rest > ours);
    assert.ok(text.slice(0, ours).endsWith(THEIRS.slice(0, THEIRS.indexOf('# the cache'))));
    assert.equal(text.slice(rest), THEIRS.slice(THEIRS.indexOf('# the cache')));
    const theirs = parseHostsToml(THEIRS);
    assert.deepEqual(parsed('docker.io/hosts.toml'), {
      ...theirs,
      hosts: [MIRROR, ...theirs.hosts],
    });
    assert.equal(
      statSync(join(root, 'docker.io/hosts.toml')).mode & 0o777,
      0o600,
      'their credentials are as private as before',
    );
    await cleanup();
    assert.deepEqual(fileTree(parent), before);
  });

  for (const [name, theirs] of Object.entries({
    'without a table': 'server = "https://a.example"',
    'of comments only': '# nothing here\n',
    'with tables only': '[host."https://a.example"]\n',
    'with a table for all hosts': '[host]\n  [host."https://a.example"]\n',
    'with a list that looks like a table':
      'client = [\n["a", "b"],\n[ "c", "d" ],\n]\nca = "x"\n[host."a"]\n',
    'with a string that looks like a table':
      'ca = """\n[host."x"]\n"""\nserver = "b"\n\n[host."a"]\n',
    'with Windows line ends': 'server = "https://a.example"\r\n\r\n[host."a"]\r\nca = "x"\r\n',
    'from k3s': `${K3S_HEADER}\nserver = "https://a.example/v2"\n[host]\n[host."https://b.example/v2"]\n`,
  })) {
    it(`is kept with --prepend-existing: a file ${name}`, async () => {
      write('docker.io/hosts.toml', theirs);
      await configure([HUB], true);
      const before = parseHostsToml(theirs);
      assert.deepEqual(parsed('docker.io/hosts.toml'), {
        ...before,
        server: before.server ?? HUB.file.server,
        hosts: [MIRROR, ...before.hosts],
      });
      const text = read('docker.io/hosts.toml');
      const lines = theirs.split('\n');
      const kept = text.split('\n').filter((line) => lines.includes(line));
      assert.ok(lines.every((line) => kept.includes(line)));
      await cleanup();
      assert.equal(read('docker.io/hosts.toml'), theirs);
    });
  }

  it("keeps k3s' first line above its content, so that k3s still takes the folder for its own", async () => {
    write('docker.io/hosts.toml', `${K3S_HEADER}[host."https://b.example/v2"]\n`);
    await configure([HUB], true);
    assert.ok(read('docker.io/hosts.toml').startsWith(K3S_HEADER));
    assert.deepEqual(await configure([HUB], true), { written: [], restored: [] });
    await configure([HUB], false);
    assert.ok(!read('docker.io/hosts.toml').includes(K3S_HEADER));
  });

  it('is left alone with --prepend-existing when it names the mirror already', async () => {
    write('docker.io/hosts.toml', '[host."http://127.0.0.1:5000/"]\n');
    const before = fileTree(root);
    await configure([HUB], true);
    assert.deepEqual(fileTree(root), before);
  });

  it('has the mirror moved to the front with --prepend-existing when it names it behind others', async () => {
    const head = '# of the administrator\nserver = "https://b.example"\n\n';
    const other = '# first\n[host."https://a.example"]\n  ca = "a.crt" # theirs\n\n';
    const own = '# the mirror\n[host."http://127.0.0.1:5000/"]\n  capabilities = ["pull"]\n';
    const header = '[host."http://127.0.0.1:5000/".header]\n  x = "y"\n\n';
    const last = '# last\n[host."https://c.example"]\n';
    write('docker.io/hosts.toml', head + other + own + header + last);
    const before = fileTree(root);
    await configure([HUB], true);
    const text = read('docker.io/hosts.toml');
    const places = [head, own, header.trimEnd(), other, last].map((part) => text.indexOf(part));
    assert.ok(!places.includes(-1), text);
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
      text,
    );
    const theirs = parseHostsToml(head + other + own + header + last);
    const [a, b, c] = theirs.hosts;
    assert.deepEqual(parseHostsToml(text), { ...theirs, hosts: [b, a, c] });
    assert.deepEqual(await configure([HUB], true), { written: [], restored: [] });
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });

  it('is left alone with --prepend-existing when the mirror cannot be moved to the front', async () => {
    const url = '"http://127.0.0.1:5000"';
    write('docker.io/hosts.toml', `[host]\n"https://a.example" = {}\n${url} = {}\n`);
    const before = fileTree(root);
    await configure([HUB], true);
    assert.deepEqual(fileTree(root), before);
  });

  it('keeps the order of several mirrors when it names one of them', async () => {
    const theirs = '[host."https://a.example"]\n[host."http://127.0.0.1:5000"]\n';
    write('docker.io/hosts.toml', theirs);
    const more = ['http://127.0.0.1:5002', ...HUB.file.hosts.map(({ url }) => url)];
    const hosts = more.map((url): HostEntry => ({ url, capabilities: ['pull'] }));
    await configure([{ ...HUB, file: { ...HUB.file, hosts } }], true);
    const urls = parseHostsToml(read('docker.io/hosts.toml')).hosts.map(({ url }) => url);
    assert.deepEqual(urls, [...more, 'https://a.example']);
  });

  for (const [theirs, says] of [
    ['server = ', /hosts\.toml: line 1: .*prepend-existing/],
    ['[host."https://a"]\ncapabilities = ["pul"]\n', /line 2: unknown capability "pul"/],
    ['host."https://a".capabilities = ["pull"]\n', /no place/],
    [Buffer.from([0x23, 0xff, 0xfe]), /UTF-8/],
  ] as const) {
    it(`is refused rather than guessed at: ${theirs.toString()}`, async () => {
      writeFileSync(write('docker.io/hosts.toml', ''), theirs);
      const before = fileTree(root);
      await assert.rejects(configure([DEFAULT, HUB], true), (error) => {
        assert.ok(error instanceof HostsConfigError);
        assert.match(error.message, says);
        return true;
      });
      assert.deepEqual(fileTree(root), before, 'nothing of the other registry either');
      await configure([DEFAULT, HUB], false);
      await cleanup();
      assert.deepEqual(fileTree(root), before);
    });
  }

  it('stays in use when it is certificates without a hosts.toml', async () => {
    for (const name of ['b.crt', 'a.crt', 'one.cert', 'one.key', 'both.cert', 'README']) {
      write(`docker.io/${name}`, name);
    }
    const before = fileTree(root);
    await configure([HUB]);
    assert.deepEqual(parsed('docker.io/hosts.toml').serverOptions, {
      ca: ['a.crt', 'b.crt'],
      client: [['both.cert'], ['one.cert', 'one.key']],
    });
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });

  it('is a link, and comes back as one', async () => {
    write('docker.io/real.toml', THEIRS);
    symlinkSync('real.toml', join(root, 'docker.io/hosts.toml'));
    const before = fileTree(root);
    for (const prepend of [false, true]) {
      await configure([HUB], prepend);
      assert.deepEqual(parsed('docker.io/hosts.toml').hosts[0], MIRROR);
      assert.equal(read('docker.io/real.toml'), THEIRS);
    }
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });

  it("is Spegel's, and its backup stays", async () => {
    write('_backup/docker.io/hosts.toml', THEIRS);
    write('_default/hosts.toml', "[host.'http://10.0.0.1:30020']\ncapabilities = ['pull']\n");
    const before = fileTree(root);
    const said: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => said.push(line) });
    const agent = new HostsConfigurator({ files: nodeFileOperations, logger }, { path: root });
    for (let look = 0; look < 3; look++) {
      await agent.configure([DEFAULT], { prependExisting: false }, never);
    }
    assert.equal(said.length, 1, said.join(''));
    assert.match(said[0] ?? '', /_backup.*Spegel/);
    assert.equal(read('_backup/docker.io/hosts.toml'), THEIRS);
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });
});

describe('what somebody changes meanwhile', () => {
  it('is an edit of ours: set aside, and what cleanup leaves, beside what was there before', async () => {
    write('docker.io/hosts.toml', THEIRS);
    for (const again of [false, true]) {
      await configure([HUB]);
      const edited = `${read('docker.io/hosts.toml')}# and this\n`;
      write('docker.io/hosts.toml', edited, 0o600);
      if (again) {
        await configure([HUB]);
        assert.deepEqual(parsed('docker.io/hosts.toml'), HUB.file);
        assert.doesNotMatch(read('docker.io/hosts.toml'), /and this/);
      }
      await cleanup();
      assert.equal(read('docker.io/hosts.toml'), edited);
      assert.equal(statSync(join(root, 'docker.io/hosts.toml')).mode & 0o777, 0o600);
      assert.equal(read('docker.io/hosts.toml.before-peerglass.1'), THEIRS);
      assert.deepEqual(
        readdirSync(join(root, 'docker.io')).filter((name) => name.startsWith('.')),
        [],
      );
      write('docker.io/hosts.toml', THEIRS, 0o644);
      rmSync(join(root, 'docker.io/hosts.toml.before-peerglass.1'));
    }
  });

  it('is an edit of ours that stays in use with --prepend-existing', async () => {
    await configure([HUB], true);
    const edited = `${read('docker.io/hosts.toml')}# and this\n`;
    write('docker.io/hosts.toml', edited);
    await configure([HUB], true);
    assert.equal(read('docker.io/hosts.toml'), edited);
  });

  it('is another file in the place of ours: set aside in the place of the first', async () => {
    write('docker.io/hosts.toml', THEIRS);
    for (const again of [false, true]) {
      await configure([HUB]);
      write('docker.io/hosts.toml', '# replaced\n');
      if (again) await configure([HUB]);
      await cleanup();
      assert.deepEqual(Object.keys(fileTree(join(root, 'docker.io'))), ['.', 'hosts.toml']);
      assert.equal(read('docker.io/hosts.toml'), '# replaced\n');
    }
  });

  it('is ours deleted: written again, and what was set aside comes back', async () => {
    write('docker.io/hosts.toml', THEIRS);
    const before = fileTree(root);
    await configure([HUB]);
    rmSync(join(root, 'docker.io/hosts.toml'));
    await configure([HUB]);
    assert.deepEqual(parsed('docker.io/hosts.toml'), HUB.file);
    rmSync(join(root, 'docker.io/hosts.toml'));
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });

  it('is ours copied to another registry: the copy is theirs', async () => {
    await configure([HUB]);
    write('quay.io/hosts.toml', read('docker.io/hosts.toml'));
    await cleanup();
    assert.ok(fileTree(root)['quay.io/hosts.toml'] !== undefined);
  });

  it('is a file of an older version: recognised, rewritten, taken away', async () => {
    const before = fileTree(root);
    await configure([HUB]);
    // What any version writes: this checksum over the folder, what stands above the marker, flags and the rest.
    const { createHash } = await import('node:crypto');
    const rest = "[host.'http://127.0.0.1:4000']\n";
    const sum = createHash('sha256')
      .update(JSON.stringify(['docker.io', '', ' folder', rest]))
      .digest('hex');
    const older = `# peerglass v0 sha256:${sum} folder\n${rest}`;
    write('docker.io/hosts.toml', older);
    await configure([HUB]);
    assert.deepEqual(Object.keys(fileTree(join(root, 'docker.io'))), ['.', 'hosts.toml']);
    assert.deepEqual(parsed('docker.io/hosts.toml'), HUB.file);
    write('docker.io/hosts.toml', older);
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });
});

describe('where nothing can or may be written', () => {
  const refuses = async (says: RegExp, wanted = [DEFAULT, HUB]): Promise<void> => {
    const before = fileTree(parent);
    await assert.rejects(configure(wanted), (error) => {
      assert.ok(error instanceof HostsConfigError, String(error));
      assert.match(error.message, says);
      return true;
    });
    assert.deepEqual(fileTree(parent), before);
  };

  it('refuses a symbolic link out of the folder, and touches nothing', async () => {
    mkdirSync(join(parent, 'elsewhere'));
    writeFileSync(join(parent, 'elsewhere/hosts.toml'), THEIRS);
    symlinkSync(join(parent, 'elsewhere'), join(root, 'docker.io'));
    await refuses(/docker\.io is a symbolic link/);
    rmSync(join(root, 'docker.io'));
    mkdirSync(join(root, 'docker.io'));
    symlinkSync(join(parent, 'elsewhere/hosts.toml'), join(root, 'docker.io/hosts.toml'));
    await refuses(/hosts\.toml is a symbolic link out of/);
    rmSync(join(root, 'docker.io/hosts.toml'));
    symlinkSync('nowhere', join(root, 'docker.io/hosts.toml'));
    await refuses(/leads nowhere/);
    rmSync(join(root, 'docker.io'), { recursive: true });
    symlinkSync(join(parent, 'elsewhere'), join(root, 'quay.io'));
    await configure();
    await cleanup();
    assert.equal(readFileSync(join(parent, 'elsewhere/hosts.toml'), 'utf8'), THEIRS);
  });

  it('refuses what is no file or folder, too large a file, and a registry given twice', async () => {
    write('docker.io', 'a file');
    await refuses(/docker\.io is not a folder/);
    rmSync(join(root, 'docker.io'));
    mkdirSync(join(root, 'docker.io/hosts.toml'), { recursive: true });
    await refuses(/hosts\.toml is not a file/);
    rmSync(join(root, 'docker.io'), { recursive: true });
    write('docker.io/hosts.toml', '#'.repeat(2 ** 20 + 1));
    await refuses(/bytes/);
    rmSync(join(root, 'docker.io'), { recursive: true });
    await refuses(/twice/, [HUB, HUB]);
    await refuses(/not a registry/, [{ ...HUB, registry: '../etc' }]);
    rmSync(root, { recursive: true });
    writeFileSync(root, 'a file');
    await refuses(/not a folder/);
  });

  it('goes on when a folder that it is not asked for is not as it should be', async () => {
    mkdirSync(join(root, 'quay.io/hosts.toml'), { recursive: true });
    const before = fileTree(root);
    await configure();
    await cleanup();
    assert.deepEqual(fileTree(root), before);
  });
});
