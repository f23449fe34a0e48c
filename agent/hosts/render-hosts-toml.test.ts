import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { parseHostsToml, type HostEntry, type HostsFile } from './hosts-toml.ts';
import { renderHost, renderHostsToml } from './render-hosts-toml.ts';

describe('renderHostsToml', () => {
  it('renders a file as Spegel writes it', () => {
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

  it('renders any file so that it parses to the same', () => {
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

describe('renderHost', () => {
  it('writes a basic string where a literal one cannot hold the text', () => {
    assert.equal(
      renderHost({
        url: "https://a.example/'",
        capabilities: ['pull'],
        ca: ['tab\there', 'plain'],
      }),
      `[host."https://a.example/'"]\ncapabilities = ['pull']\nca = ["tab\\there", 'plain']\n`,
    );
  });
});
