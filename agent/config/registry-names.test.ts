import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseMirrorTarget, parseRegistryName, parseTokenServer } from './registry-names.ts';

describe('parseRegistryName', () => {
  for (const [text, registry, server] of [
    ['docker.io', 'docker.io', 'https://registry-1.docker.io'],
    ['https://docker.io/', 'docker.io', 'https://registry-1.docker.io'],
    ['https://registry-1.docker.io', 'docker.io', 'https://registry-1.docker.io'],
    ['index.docker.io', 'docker.io', 'https://registry-1.docker.io'],
    ['GHCR.io', 'ghcr.io', 'https://ghcr.io'],
    ['https://ghcr.io:443', 'ghcr.io:443', 'https://ghcr.io:443'],
    ['HTTP://10.0.0.9:5000', '10.0.0.9:5000', 'http://10.0.0.9:5000'],
    ['10.0.0.9:5000', '10.0.0.9:5000', 'https://10.0.0.9:5000'],
    ['[fd00::1]:5000', '[fd00::1]:5000', 'https://[fd00::1]:5000'],
    ['http://[FD00::1]', '[fd00::1]', 'http://[fd00::1]'],
    ['localhost:5000', 'localhost:5000', undefined],
    ['127.0.0.1:5000', '127.0.0.1:5000', undefined],
    ['https://localhost:5000', 'localhost:5000', 'https://localhost:5000'],
  ] as const) {
    it(`parses ${text}`, () => {
      const expected = server === undefined ? { registry } : { registry, server };
      assert.deepEqual(parseRegistryName(text), expected);
    });
  }

  it('takes * and _default as all registries', () => {
    assert.equal(parseRegistryName('*'), undefined);
    assert.equal(parseRegistryName('_default'), undefined);
  });

  for (const [text, says] of [
    ['docker.io/library', /has a path/],
    ['https://docker.io/v2/', /has a path/],
    ['docker.io?a=b', /query/],
    ['docker.io#a', /query/],
    ['https://me:secret@docker.io', /user and password/],
    ['ftp://docker.io', /scheme/],
    ['unix:///run/x.sock', /scheme/],
    ['', /no registry/],
    ['..', /no registry/],
    ['.', /no registry/],
    ['../../etc', /path/],
    ['..%2f', /no registry/],
    ['_backup', /no registry/],
    ['a b', /no registry/],
    ['a\n', /no registry/],
    ['a:b', /no registry/],
    ['a:0', /no registry/],
    ['a:65536', /no registry/],
    ['fd00::1', /write \[fd00::1\]/],
    ['[fd00]', /no registry/],
    ['[::1', /no registry/],
    [`${'a'.repeat(256)}.io`, /no registry/],
  ] as const) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseRegistryName(text), says);
    });
  }

  it('does not repeat a password in its error', () => {
    assert.throws(
      () => parseRegistryName('https://me:secret@docker.io'),
      (error) => error instanceof Error && !error.message.includes('secret'),
    );
  });
});

describe('parseMirrorTarget', () => {
  it('takes a URL or a host, and refuses others', () => {
    for (const [text, url] of [
      ['http://127.0.0.1:5000', 'http://127.0.0.1:5000'],
      ['https://Mirror.example/', 'https://mirror.example'],
      ['10.0.0.9:30020', 'http://10.0.0.9:30020'],
      ['http://[fd00::1]:30020', 'http://[fd00::1]:30020'],
      ['http://fd00::1:30020', 'http://[fd00::1]:30020'],
      ['FD00::1:30020', 'http://[fd00::1]:30020'],
      ['https://fd00:0:0:0:0:0:0:1:5000/', 'https://[fd00:0:0:0:0:0:0:1]:5000'],
    ] as const) {
      assert.equal(parseMirrorTarget(text), url);
    }
    for (const text of [
      '*',
      '',
      'http://',
      'http://a/b',
      'http://u:p@a',
      'http://fd00::1:1',
      'http://fd00::1:99999',
      'http://fd00::g:30020',
      'x://a',
    ]) {
      assert.throws(() => parseMirrorTarget(text), /mirror/);
    }
  });
});

describe('parseTokenServer', () => {
  it('takes a registry and a host, each with its port', () => {
    assert.deepEqual(parseTokenServer('registry.example=Login.example.org'), {
      registry: 'registry.example',
      host: 'login.example.org',
    });
    assert.deepEqual(parseTokenServer('registry-1.docker.io=[fd00::9]:8443'), {
      registry: 'docker.io',
      host: '[fd00::9]:8443',
    });
  });

  it('refuses what is no pair of hosts', () => {
    for (const text of ['', 'a', '=', 'a=', '=b', 'a=b=c', 'a=https://b', 'a/b=c', '*=a', 'a=*']) {
      assert.throws(() => parseTokenServer(text), /is no token server; write REGISTRY=HOST/, text);
    }
  });
});
