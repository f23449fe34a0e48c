import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { parseHostsToml } from '../../hosts/hosts-toml.ts';
import { PROGRAMS, runProgram } from '../../testing/agent-program.ts';
import { fileTree } from '../../testing/file-tree.ts';
import { BAD, GOOD, useRegistriesFile } from '../../testing/registries-file.ts';

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('subcommands with --registries-yaml', () => {
  const { folder, file } = useRegistriesFile();

  it('configuration writes the hosts.toml files that it asks for, without credentials', async () => {
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

  it('configuration refuses a file with errors, and changes nothing', async () => {
    const certs = join(folder, 'certs.d');
    const tree = fileTree(certs);
    const ca = 'configs: {m.example: {tls: {ca_file: /nowhere/ca.crt}}}';
    for (const [text, says] of [
      [BAD, /registries\.yaml:2:3: the star needs quotes.* \(and 1 more\); "peerglass check-/],
      [ca, /registries\.yaml:1:\d+: the CA file does not exist/],
      ['mirrors: *a', /registries\.yaml:1:10: no anchor above has the name of this alias/],
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

  it('refuse options that contradict each other as wrong usage', async () => {
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
});
