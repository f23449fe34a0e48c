import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HostsConfigError } from './hosts-error.ts';
import { parseHostsToml, registryFolder, registryFolders, registryOfFolder } from './hosts-toml.ts';
import { HostsTomlError } from './toml-table.ts';

describe('parseHostsToml', () => {
  it('reads every form that containerd accepts', () => {
    const text = [
      'server = "https://quay.io"',
      'capabilities = ["Pull"]',
      'ca = "/etc/ca.pem"',
      'unknown = 1',
      '[host."https://a.example"]',
      '  client = "both.pem"',
      '[host."https://a.example".header]',
      '  X-One = "1"',
      '  X-Two = ["2", "3"]',
      '[host."b.example:5000"]',
      '  client = [["cert.pem", "key.pem"], ["both.pem", ""]]',
      '  ca = ["a.pem", "b.pem"]',
      '  skip_verify = true',
      '  capabilities = []',
      '  override_path = true',
    ].join('\n');
    assert.deepEqual(parseHostsToml(text), {
      server: 'https://quay.io',
      serverOptions: { capabilities: ['pull'], ca: ['/etc/ca.pem'] },
      hosts: [
        {
          url: 'https://a.example',
          capabilities: ['pull', 'resolve', 'push'],
          client: [['both.pem']],
          header: { 'X-One': ['1'], 'X-Two': ['2', '3'] },
        },
        {
          url: 'b.example:5000',
          capabilities: ['pull', 'resolve', 'push'],
          ca: ['a.pem', 'b.pem'],
          client: [['cert.pem', 'key.pem'], ['both.pem']],
          skipVerify: true,
          overridePath: true,
        },
      ],
    });
  });

  for (const [text, line, message] of [
    ['server = "x"\nserver = "y"\n', 2, /./],
    ['[host."http://a"]\ncapabilities = ["pull",\n "resolv"]\n', 3, /"resolv".*whole file/],
    ['[host."http://a"]\n\n[host."http://b"]\ncapabilities = "pull"\n', 4, /list of strings/],
    ['skip_verify = "true"\n', 1, /true or false/],
    ['server = 1\n', 1, /a string/],
    ['host = 1\n', 1, /a table/],
    ['[host]\n"http://a" = 1\n', 2, /not a table/],
    ['[host."http://a b"]\n', 1, /not a URL/],
    ['[host."http://a"]\nclient = [["a", "b", "c"]]\n', 2, /pairs/],
    ['[host."http://a"\n', 1, /./],
  ] as const) {
    it(`reports the mistake and its line: ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseHostsToml(text),
        (error) => {
          assert.ok(error instanceof HostsTomlError);
          assert.equal(error.line, line, error.message);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  it('does not repeat text of the file, which may contain credentials', () => {
    assert.throws(
      () => parseHostsToml('[host."http://a".header]\nAuthorization = "Basic c2VjcmV0\n'),
      (error) => error instanceof HostsTomlError && !error.message.includes('c2VjcmV0'),
    );
  });
});

describe('registryFolder', () => {
  it('is the name of the registry, including its port', () => {
    for (const name of ['_default', 'docker.io', '10.0.0.9:5000', '[fd00::1]:5000', 'localhost']) {
      assert.equal(registryFolder(name), name);
    }
  });

  for (const name of ['', '.', '..', '../etc', '/etc', 'a/b', '_backup', 'a:b', '[::x]', 'a\0b']) {
    it(`refuses ${JSON.stringify(name)}`, () => {
      assert.throws(() => registryFolder(name), HostsConfigError);
    });
  }
});

describe('registryFolders', () => {
  it('lists the folders in the order in which containerd looks for them', () => {
    assert.deepEqual(registryFolders('ghcr.io:443'), ['ghcr.io_443_', 'ghcr.io:443', '_default']);
    assert.deepEqual(registryFolders('ghcr.io'), ['ghcr.io', '_default']);
    assert.deepEqual(registryFolders('[fd00::1]:5000')[0], '[fd00::1]_5000_');
    assert.deepEqual(registryFolders('_default'), ['_default']);
  });
});

describe('registryOfFolder', () => {
  it('is the registry as image names have it', () => {
    assert.equal(registryOfFolder('10.0.0.9_5000_'), '10.0.0.9:5000');
    assert.equal(registryOfFolder('[fd00::1]_5000_'), '[fd00::1]:5000');
    assert.equal(registryOfFolder('ghcr.io:443'), 'ghcr.io:443');
    assert.equal(registryOfFolder('my_registry'), 'my_registry');
  });
});
