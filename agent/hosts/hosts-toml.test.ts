import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { HostsConfigError } from './hosts-error.ts';
import {
  parseHostsToml,
  registryFolder,
  registryFolders,
  type HostEntry,
  type HostsFile,
} from './hosts-toml.ts';
import { HostsTomlError } from './toml-table.ts';
import { renderHostsToml } from './render-hosts-toml.ts';

describe('renderHostsToml', () => {
  it("writes what Spegel writes, in Spegel's form", () => {
    const file: HostsFile = {
      server: 'https://registry-1.docker.io',
      hosts: [
        {
          url: 'http://127.0.0.1:5000',
          capabilities: ['pull', 'resolve'],
          dialTimeout: '200ms',
        },
      ],
    };
    assert.equal(
      renderHostsToml(file),
      [
        "server = 'https://registry-1.docker.io'",
        '',
        "[host.'http://127.0.0.1:5000']",
        "capabilities = ['pull', 'resolve']",
        "dial_timeout = '200ms'",
        '',
      ].join('\n'),
    );
  });

  it('gives a file that reads as what was written, whatever that was', () => {
    // Every key once, any text in it.
    const text = fc.string({ unit: 'grapheme' });
    const options = fc.record(
      {
        ca: fc.array(text),
        client: fc.array(
          fc.oneof(
            fc.tuple(text),
            fc.tuple(
              text,
              text.filter((each) => each !== ''),
            ),
          ),
        ),
        skipVerify: fc.boolean(),
        header: fc.dictionary(
          text.filter((each) => !['__proto__', 'constructor', 'prototype'].includes(each)),
          fc.array(text, { minLength: 1 }),
          { noNullPrototype: true },
        ),
        dialTimeout: fc.constantFrom('200ms', '1s'),
        overridePath: fc.boolean(),
      },
      { requiredKeys: [], noNullPrototype: true },
    );
    const capabilities = fc.uniqueArray(fc.constantFrom('pull', 'resolve', 'push'), {
      minLength: 1,
    });
    const host = fc
      .tuple(fc.webUrl(), capabilities, options)
      .map(([url, list, rest]): HostEntry => ({ url, capabilities: list, ...rest }));
    const file = fc
      .tuple(
        fc.option(fc.webUrl(), { nil: undefined }),
        options,
        fc.uniqueArray(host, { selector: ({ url }) => url }),
      )
      .map(([server, serverOptions, hosts]): HostsFile => ({
        ...(server !== undefined && { server }),
        ...(Object.keys(serverOptions).length > 0 && { serverOptions }),
        hosts,
      }));
    fc.assert(
      fc.property(file, (it) => {
        assert.deepEqual(parseHostsToml(renderHostsToml(it)), it);
      }),
    );
  });
});

describe('parseHostsToml', () => {
  it('reads every form that containerd takes', () => {
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

  for (const [text, line, says] of [
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
    it(`says what is wrong, and where: ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseHostsToml(text),
        (error) => {
          assert.ok(error instanceof HostsTomlError);
          assert.equal(error.line, line, error.message);
          assert.match(error.message, says);
          return true;
        },
      );
    });
  }

  it('does not repeat what stands in the file, which may hold credentials', () => {
    assert.throws(
      () => parseHostsToml('[host."http://a".header]\nAuthorization = "Basic c2VjcmV0\n'),
      (error) => error instanceof HostsTomlError && !error.message.includes('c2VjcmV0'),
    );
  });
});

describe('registryFolder', () => {
  it('is the name of the registry, port and all', () => {
    for (const name of ['_default', 'docker.io', '10.0.0.9:5000', '[fd00::1]:5000', 'localhost']) {
      assert.equal(registryFolder(name), name);
    }
  });

  for (const name of ['', '.', '..', '../etc', '/etc', 'a/b', '_backup', 'a:b', '[::x]', 'a\0b']) {
    it(`refuses ${JSON.stringify(name)}`, () => {
      assert.throws(() => registryFolder(name), HostsConfigError);
    });
  }

  it('knows where containerd looks, and in which order', () => {
    assert.deepEqual(registryFolders('ghcr.io:443'), ['ghcr.io_443_', 'ghcr.io:443', '_default']);
    assert.deepEqual(registryFolders('ghcr.io'), ['ghcr.io', '_default']);
    assert.deepEqual(registryFolders('[fd00::1]:5000')[0], '[fd00::1]_5000_');
    assert.deepEqual(registryFolders('_default'), ['_default']);
  });
});
