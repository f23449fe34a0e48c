import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BYTE_ORDER_MARK, isBracketed, readingOf } from './containerd-dialect.ts';
import type { ContainerdVersion } from './containerd-version.ts';
import { parseHostsToml } from './hosts-toml.ts';

const V1_6: ContainerdVersion = [1, 6];
const V1_7: ContainerdVersion = [1, 7];
const V2_0: ContainerdVersion = [2, 0];
const V2_2: ContainerdVersion = [2, 2];
const MIRROR = "[host.'http://127.0.0.1:5000']\ncapabilities = ['pull']\n";

/** Why each version ignores the text; `ok` where it reads it. */
function readings(text: string): string[] {
  const file = parseHostsToml(text);
  return [V1_6, V1_7, V2_0, V2_2].map((version) => readingOf(text, file, version).problem ?? 'ok');
}

describe('readingOf', () => {
  for (const [what, text, before2, from2] of [
    ['a plain file', MIRROR, /^ok$/, /^ok$/],
    ['an IPv6 address', `${MIRROR}[host."http://[fd88::2]:5000"]\n`, /^line 3: .*IPv6/, /^ok$/],
    ['one in literal quotes', "[host.'http://[fd88::2]:5000']\n", /^line 1: .*IPv6/, /^ok$/],
    ['one in the table of headers', '[host."http://[fd88::2]:5000".header]\n', /IPv6/, /^ok$/],
    ['one as server only', `server = 'http://[fd88::2]:5000'\n${MIRROR}`, /^ok$/, /^ok$/],
    ['a list of pairs', 'client = [\n["a[1].crt", "a.key"],\n]\n[host."a"]\n', /^ok$/, /^ok$/],
    ['a byte order mark', BYTE_ORDER_MARK + MIRROR, /^ok$/, /byte order mark/],
    ['a wrong duration', `${MIRROR}dial_timeout = '2 s'\n`, /^ok$/, /^line 3: .*"2 s"/],
    ['Go durations', `${MIRROR}dial_timeout = '1m1.5s'\n`, /^ok$/, /^ok$/],
    ['no host', "server = 'https://a.example'\n", /without a \[host/, /^ok$/],
    ['an empty table of hosts', '[host]\n', /^ok$/, /^ok$/],
  ] as const) {
    it(`reads ${what} as each version does`, () => {
      const [v16 = '', v17 = '', v20 = '', v22 = ''] = readings(text);
      assert.match(v16, before2);
      assert.match(v17, before2);
      assert.match(v20, from2);
      assert.match(v22, from2);
    });
  }

  it('knows the capability referrers from 2.2 on, for the server too', () => {
    for (const text of [
      "[host.'http://127.0.0.1:5000']\ncapabilities = ['pull', 'referrers']\n",
      `capabilities = ['referrers']\n${MIRROR}`,
    ]) {
      const [v16 = '', , v20 = '', v22 = ''] = readings(text);
      assert.match(v16, /needs containerd 2\.2/);
      assert.match(v20, /needs containerd 2\.2/);
      assert.equal(v22, 'ok');
    }
  });

  it('names the hosts that are not in a table of their own, which count before 2.0 only', () => {
    for (const [text, ignored] of [
      [`[host]\n'http://a:1' = {}\n`, ['http://a:1']],
      [`[host]\n'http://a:1'.capabilities = ['pull']\n[host.'http://b']\n`, ['http://a:1']],
      [`host.'http://a:1'.capabilities = ['pull']\n`, ['http://a:1']],
      ['  [ "host" . "http://a:1" ] # the cache\n', []],
      ['[host."http:\\u002f/a:1"]\n', []],
      ["[host.'http://a:1'.header]\nx = 'y'\n", []],
      ['[host.a]\n', []],
    ] as const) {
      const file = parseHostsToml(text);
      assert.deepEqual(readingOf(text, file, V2_0).ignoredHosts, ignored, text);
      assert.deepEqual(readingOf(text, file, V1_7).ignoredHosts, [], text);
    }
  });
});

describe('isBracketed', () => {
  it('is true for a host with an IPv6 address', () => {
    assert.equal(isBracketed('http://[fd88::2]:5000'), true);
    assert.equal(isBracketed('http://127.0.0.1:5000'), false);
  });
});
