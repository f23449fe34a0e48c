import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isOfRegistry, isShared, realmOf } from './realm.ts';

const url = (host: string): URL => new URL(`https://${host}`);

describe('realmOf', () => {
  it('takes a URL by https, and by http where the registry is asked by http', () => {
    const http = new URL('http://10.0.0.9:5000');
    assert.equal(
      realmOf('https://auth.docker.io/token', url('registry-1.docker.io'))?.pathname,
      '/token',
    );
    assert.equal(realmOf('http://10.0.0.9:5001/token', http)?.port, '5001');
    assert.equal(realmOf('http://auth.docker.io/token', url('registry-1.docker.io')), undefined);
  });

  it('takes nothing else', () => {
    const texts = [
      'Artifactory Realm',
      'null://',
      'file:///etc/passwd',
      'https://u:p@host/',
      '',
      undefined,
    ];
    for (const text of texts) assert.equal(realmOf(text, url('registry.example')), undefined, text);
  });
});

describe('isOfRegistry', () => {
  it('holds for the same host, those below it, and those of its domain', () => {
    for (const [realm, registry] of [
      ['ghcr.io', 'ghcr.io'],
      ['auth.docker.io', 'registry-1.docker.io'],
      ['gitlab.com', 'registry.gitlab.com'],
      ['10.0.0.9:5001', '10.0.0.9:5000'],
      ['[fd00::9]:5001', '[fd00::9]:5000'],
      ['auth.team.example.co.uk', 'registry.example.co.uk'],
      ['token.registry.example', 'registry.example'],
    ] as const) {
      assert.ok(isOfRegistry(url(realm), url(registry)), `${realm} for ${registry}`);
    }
  });

  it('does not hold for others', () => {
    for (const [realm, registry] of [
      ['evil.io', 'ghcr.io'],
      ['ghcr.io.evil.com', 'ghcr.io'],
      ['evildocker.io', 'registry-1.docker.io'],
      ['10.0.0.8', '10.0.0.9'],
      ['[fd00::8]', '[fd00::9]'],
      ['b.co.uk', 'a.co.uk'],
      ['evil.com', 'localhost'],
      ['0.0.9', '10.0.0.9'],
    ] as const) {
      assert.ok(!isOfRegistry(url(realm), url(registry)), `${realm} for ${registry}`);
    }
  });
});

describe('isShared', () => {
  it('holds for domains of one label, and for those below which others register', () => {
    for (const domain of ['io', 'uk', 'co.uk', 'com.au']) assert.ok(isShared(domain), domain);
    for (const domain of ['gcr.io', 'pkg.dev', 'example.co.uk', 'example.com']) {
      assert.ok(!isShared(domain), domain);
    }
  });
});
