import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { parseBaseUrl, parsePeerAddress } from './peer-addresses.ts';

const ID = '12D3KooWPT98FXMfDQYavZm66EeVjTqP9Nnehn1gyaydqV8L8BQw';

describe('parsePeerAddress', () => {
  for (const [text, expected] of [
    ['10.88.0.1', '/ip4/10.88.0.1/tcp/5001'],
    ['10.88.0.1:5002', '/ip4/10.88.0.1/tcp/5002'],
    ['fd00::1', '/ip6/fd00::1/tcp/5001'],
    ['[fd00::1]', '/ip6/fd00::1/tcp/5001'],
    ['[fd00::1]:5002', '/ip6/fd00::1/tcp/5002'],
    ['::ffff:10.0.0.1', '/ip6/::ffff:10.0.0.1/tcp/5001'],
    ['node-1:5001', '/dns/node-1/tcp/5001'],
    ['peers.example.:65535', '/dns/peers.example./tcp/65535'],
    ['/dns4/a.example/tcp/5001', '/dns4/a.example/tcp/5001'],
    [`/ip4/10.0.0.1/tcp/5001/p2p/${ID}`, `/ip4/10.0.0.1/tcp/5001/p2p/${ID}`],
  ] as const) {
    it(`reads ${text} as a multiaddr that libp2p takes`, () => {
      assert.equal(parsePeerAddress(text), expected);
      assert.ok(multiaddr(expected).getComponents().length >= 2);
    });
  }

  for (const text of [
    '',
    'node-1',
    ':5001',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:',
    '10.0.0.999',
    '10.0.0.999:5001',
    '[10.0.0.1]:5001',
    '[fd00::1]:',
    'fd00:1:2:3:4:5:6:7:5001',
    'http://10.0.0.1:5001',
    'a b:5001',
    '-a:5001',
    '/ip6/10.88.0.1:5001/tcp/5001',
    `/dns4/${'a'.repeat(600)}/tcp/1`,
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}, and says what to write`, () => {
      assert.throws(() => parsePeerAddress(text), /is no peer address; write IP, IP:PORT, .*NAME/);
    });
  }
});

describe('parseBaseUrl', () => {
  it('takes a URL, or an address with its port for http', () => {
    for (const [text, url] of [
      ['https://a.example/base', 'https://a.example/base'],
      ['10.0.0.1:5001', 'http://10.0.0.1:5001'],
      ['[fd00::1]:5001', 'http://[fd00::1]:5001'],
      ['peers.example:80', 'http://peers.example:80'],
      ['', ''],
    ]) {
      assert.equal(parseBaseUrl(text ?? ''), url);
    }
    for (const text of ['peers.example', 'ftp://x', 'fd00::1']) {
      assert.throws(() => parseBaseUrl(text), /write http:\/\/HOST:PORT/, text);
    }
  });
});
