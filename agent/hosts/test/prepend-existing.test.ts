import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { fileTree } from '../../testing/file-tree.ts';
import { DEFAULT, HUB, HostsFolder, MIRROR, THEIRS } from '../../testing/hosts-folder.ts';
import { HostsConfigError } from '../hosts-error.ts';
import { parseHostsToml, type HostEntry } from '../hosts-toml.ts';
import { K3S_HEADER } from '../marker.ts';

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
});
afterEach(() => {
  folder.remove();
});

describe('--prepend-existing', () => {
  it('keeps every byte of the existing file, after the mirror', async () => {
    folder.write('docker.io/hosts.toml', THEIRS, 0o600);
    const before = fileTree(folder.parent);
    await folder.configure([HUB], true);
    const text = folder.read('docker.io/hosts.toml');
    const ours = text.indexOf('# Hosts of peerglass');
    const rest = text.indexOf('# the cache');
    assert.ok(ours > 0 && rest > ours);
    assert.ok(text.slice(0, ours).endsWith(THEIRS.slice(0, THEIRS.indexOf('# the cache'))));
    assert.equal(text.slice(rest), THEIRS.slice(THEIRS.indexOf('# the cache')));
    const theirs = parseHostsToml(THEIRS);
    assert.deepEqual(folder.parsed('docker.io/hosts.toml'), {
      ...theirs,
      hosts: [MIRROR, ...theirs.hosts],
    });
    assert.equal(
      statSync(join(folder.root, 'docker.io/hosts.toml')).mode & 0o777,
      0o600,
      'credentials in the file stay private',
    );
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.parent), before);
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
    it(`keeps the hosts and lines of a file ${name}`, async () => {
      folder.write('docker.io/hosts.toml', theirs);
      await folder.configure([HUB], true);
      const before = parseHostsToml(theirs);
      assert.deepEqual(folder.parsed('docker.io/hosts.toml'), {
        ...before,
        server: before.server ?? HUB.file.server,
        hosts: [MIRROR, ...before.hosts],
      });
      const text = folder.read('docker.io/hosts.toml');
      const lines = theirs.split('\n');
      const kept = text.split('\n').filter((line) => lines.includes(line));
      assert.ok(lines.every((line) => kept.includes(line)));
      await folder.cleanup();
      assert.equal(folder.read('docker.io/hosts.toml'), theirs);
    });
  }

  it('leaves a byte order mark out, which would be in the middle of the file', async () => {
    const text = `\uFEFF${THEIRS}`;
    folder.write('docker.io/hosts.toml', text);
    await folder.configure([HUB], true);
    const written = folder.read('docker.io/hosts.toml');
    assert.ok(!written.includes('\uFEFF'));
    const theirs = parseHostsToml(THEIRS);
    assert.deepEqual(parseHostsToml(written), { ...theirs, hosts: [MIRROR, ...theirs.hosts] });
    assert.deepEqual(await folder.configure([HUB], true), { written: [], restored: [] });
    await folder.cleanup();
    assert.equal(folder.read('docker.io/hosts.toml'), text, 'the backup has it');
  });

  it('writes a file that names the mirror first without its byte order mark', async () => {
    const text = '[host."http://127.0.0.1:5000"]\n';
    folder.write('docker.io/hosts.toml', `\uFEFF${text}`);
    await folder.configure([HUB], true);
    assert.ok(folder.read('docker.io/hosts.toml').endsWith(text));
    assert.ok(!folder.read('docker.io/hosts.toml').includes('\uFEFF'));
  });

  it('keeps the first line of a file from k3s, by which k3s recognises its folder', async () => {
    folder.write('docker.io/hosts.toml', `${K3S_HEADER}[host."https://b.example/v2"]\n`);
    await folder.configure([HUB], true);
    assert.ok(folder.read('docker.io/hosts.toml').startsWith(K3S_HEADER));
    assert.deepEqual(await folder.configure([HUB], true), { written: [], restored: [] });
    await folder.configure([HUB], false);
    assert.ok(!folder.read('docker.io/hosts.toml').includes(K3S_HEADER));
  });

  it('leaves a file unchanged that already names the mirror first', async () => {
    folder.write('docker.io/hosts.toml', '[host."http://127.0.0.1:5000/"]\n');
    const before = fileTree(folder.root);
    await folder.configure([HUB], true);
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('moves the table of the mirror to the front if other hosts precede it', async () => {
    const head = '# of the administrator\nserver = "https://b.example"\n\n';
    const other = '# first\n[host."https://a.example"]\n  ca = "a.crt" # theirs\n\n';
    const own = '# the mirror\n[host."http://127.0.0.1:5000/"]\n  capabilities = ["pull"]\n';
    const header = '[host."http://127.0.0.1:5000/".header]\n  x = "y"\n\n';
    const last = '# last\n[host."https://c.example"]\n';
    folder.write('docker.io/hosts.toml', head + other + own + header + last);
    const before = fileTree(folder.root);
    await folder.configure([HUB], true);
    const text = folder.read('docker.io/hosts.toml');
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
    assert.deepEqual(await folder.configure([HUB], true), { written: [], restored: [] });
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('leaves a file unchanged whose entry of the mirror cannot be moved', async () => {
    const url = '"http://127.0.0.1:5000"';
    folder.write('docker.io/hosts.toml', `[host]\n"https://a.example" = {}\n${url} = {}\n`);
    const before = fileTree(folder.root);
    await folder.configure([HUB], true);
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('keeps the order of several mirrors if the file names one of them', async () => {
    const theirs = '[host."https://a.example"]\n[host."http://127.0.0.1:5000"]\n';
    folder.write('docker.io/hosts.toml', theirs);
    const more = ['http://127.0.0.1:5002', ...HUB.file.hosts.map(({ url }) => url)];
    const hosts = more.map((url): HostEntry => ({ url, capabilities: ['pull'] }));
    await folder.configure([{ ...HUB, file: { ...HUB.file, hosts } }], true);
    const urls = parseHostsToml(folder.read('docker.io/hosts.toml')).hosts.map(({ url }) => url);
    assert.deepEqual(urls, [...more, 'https://a.example']);
  });

  for (const [theirs, message] of [
    ['server = ', /hosts\.toml: line 1: .*prepend-existing/],
    ['[host."https://a"]\ncapabilities = ["pul"]\n', /line 2: unknown capability "pul"/],
    ['host."https://a".capabilities = ["pull"]\n', /no place/],
    [Buffer.from([0x23, 0xff, 0xfe]), /UTF-8/],
  ] as const) {
    it(`refuses a file that it cannot extend: ${theirs.toString()}`, async () => {
      writeFileSync(folder.write('docker.io/hosts.toml', ''), theirs);
      const before = fileTree(folder.root);
      await assert.rejects(folder.configure([DEFAULT, HUB], true), (error) => {
        assert.ok(error instanceof HostsConfigError);
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(
        fileTree(folder.root),
        before,
        'no file of the other registry is written either',
      );
      await folder.configure([DEFAULT, HUB], false);
      await folder.cleanup();
      assert.deepEqual(fileTree(folder.root), before);
    });
  }

  it('keeps an edited file of peerglass in use', async () => {
    await folder.configure([HUB], true);
    const edited = `${folder.read('docker.io/hosts.toml')}# and this\n`;
    folder.write('docker.io/hosts.toml', edited);
    await folder.configure([HUB], true);
    assert.equal(folder.read('docker.io/hosts.toml'), edited);
  });
});
