import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { proxyFor, proxySettingsOf, proxyUrlFor } from './proxy-settings.ts';

const PROXY = 'http://proxy.example:3128';
const settings = (noProxy: string) =>
  proxySettingsOf({ HTTP_PROXY: PROXY, HTTPS_PROXY: 'http://tls.example:3129', NO_PROXY: noProxy });

describe('proxyFor', () => {
  it('is the proxy of the scheme', () => {
    const to = (url: string) => proxyFor(new URL(url), settings(''));
    assert.equal(to('http://10.0.0.1:5000'), PROXY);
    assert.equal(to('https://10.0.0.1:5000'), 'http://tls.example:3129');
    const none = proxySettingsOf({ HTTPS_PROXY: PROXY });
    assert.equal(proxyFor(new URL('http://10.0.0.1:5000'), none), undefined);
  });

  it('is none for loopback, whatever the variables say', () => {
    for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '[::1]']) {
      assert.equal(proxyFor(new URL(`http://${host}:5000`), settings('')), undefined, host);
    }
  });

  for (const [noProxy, url, isDirect] of [
    ['10.0.0.1', 'http://10.0.0.1:5000', true],
    ['10.0.0.2', 'http://10.0.0.1:5000', false],
    ['10.0.0.0/8', 'http://10.0.0.1:5000', true],
    ['10.1.0.0/16', 'http://10.0.0.1:5000', false],
    ['10.0.0.0/99', 'http://10.0.0.1:5000', false],
    ['10.0.0.1:5000', 'http://10.0.0.1:5000', true],
    ['10.0.0.1:5001', 'http://10.0.0.1:5000', false],
    ['a, 10.0.0.1 ,b', 'http://10.0.0.1:5000', true],
    ['*', 'http://10.0.0.1:5000', true],
    ['fd00::/8', 'http://[fd88::2]:5000', true],
    ['fd88::2', 'http://[fd88::2]:5000', true],
    ['[fd88::2]:5000', 'http://[fd88::2]:5000', true],
    ['[fd88::2]:5001', 'http://[fd88::2]:5000', false],
    ['node.example', 'http://node.example:5000', true],
    ['example', 'http://node.example:5000', true],
    ['.example', 'http://node.example:5000', true],
    ['*.example', 'http://node.example:5000', true],
    ['.node.example', 'http://node.example:5000', false],
    ['ode.example', 'http://node.example:5000', false],
    ['NODE.example', 'http://node.example:5000', true],
    ['10.0.0', 'http://10.0.0.1:5000', false],
  ] as const) {
    it(`is ${isDirect ? 'none' : 'the proxy'} for ${url} with NO_PROXY=${noProxy}`, () => {
      assert.equal(proxyFor(new URL(url), settings(noProxy)) === undefined, isDirect);
    });
  }

  it('takes variables in lower case, and never shows a password', () => {
    const lower = proxySettingsOf({ http_proxy: 'user:secret@proxy.example:3128', no_proxy: 'x' });
    assert.equal(lower.noProxy, 'x');
    assert.equal(proxyFor(new URL('http://10.0.0.1:5000'), lower), PROXY);
  });
});

describe('proxyUrlFor', () => {
  const to = (proxy: string, url = 'https://ghcr.io/v2/'): URL | undefined =>
    proxyUrlFor(new URL(url), proxySettingsOf({ HTTPS_PROXY: proxy, NO_PROXY: '10.0.0.0/8' }));

  it('has user and password, and a scheme', () => {
    assert.equal(to('u:p@proxy.example:3128')?.href, 'http://u:p@proxy.example:3128/');
    assert.equal(to('https://proxy.example')?.href, 'https://proxy.example/');
    assert.equal(to(''), undefined);
    assert.equal(to('http://proxy.example', 'https://10.1.2.3/'), undefined);
  });

  it('refuses another scheme, without showing the password', () => {
    for (const proxy of ['socks5://u:secret@proxy.example', 'http://u:secret@:port']) {
      assert.throws(
        () => to(proxy),
        ({ message }: Error) => message.includes('proxy') && !message.includes('secret'),
      );
    }
  });
});
