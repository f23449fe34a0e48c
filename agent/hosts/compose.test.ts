import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { composePrepended, composeReplacement } from './compose.ts';
import { HostsConfigError } from './hosts-error.ts';
import { parseHostsToml, type HostEntry, type HostsFile } from './hosts-toml.ts';
import { K3S_HEADER } from './marker.ts';
import { renderHostsToml } from './render-hosts-toml.ts';

const MIRROR: HostEntry = { url: 'http://127.0.0.1:5000', capabilities: ['pull'] };
const WANTED: HostsFile = { server: 'https://registry.example', hosts: [MIRROR] };

describe('composeReplacement', () => {
  const files = ['ca.crt', 'one.cert', 'one.key', 'README'];

  it('names the certificates of a folder that has no readable hosts.toml', () => {
    for (const theirs of [undefined, Buffer.from(''), Buffer.from('server = ')]) {
      const { content } = composeReplacement(WANTED, { theirs, files });
      assert.deepEqual(parseHostsToml(content), {
        ...WANTED,
        serverOptions: { ca: ['ca.crt'], client: [['one.cert', 'one.key']] },
      });
    }
  });

  it('names no certificates if containerd did not use them, because of a readable hosts.toml', () => {
    const theirs = Buffer.from('server = "https://a.example"\n');
    const { content, k3s } = composeReplacement(WANTED, { theirs, files });
    assert.deepEqual(parseHostsToml(content), WANTED);
    assert.equal(k3s, false);
  });
});

describe('composePrepended', () => {
  it('puts the wanted hosts before those of any existing file', () => {
    const capabilities = fc.uniqueArray(fc.constantFrom('pull', 'resolve', 'push'), {
      minLength: 1,
    });
    const host = fc
      .record({ url: fc.webUrl(), capabilities, ca: fc.array(fc.string()) })
      .map(({ ca, ...rest }): HostEntry => ({ ...rest, ...(ca.length > 0 && { ca }) }));
    const existing = fc
      .record({
        server: fc.option(fc.webUrl(), { nil: undefined }),
        hosts: fc.uniqueArray(host, { selector: ({ url }) => new URL(url).href }),
      })
      .map(({ server, hosts }): HostsFile => ({ ...(server !== undefined && { server }), hosts }));
    fc.assert(
      fc.property(existing, (file) => {
        const composed = composePrepended(WANTED, Buffer.from(renderHostsToml(file)));
        assert.ok(typeof composed !== 'string');
        assert.deepEqual(parseHostsToml(composed.content), {
          server: file.server ?? WANTED.server,
          hosts: [MIRROR, ...file.hosts],
        });
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the existing text, and recognises a file of k3s by its first line', () => {
    const body = '# theirs\n[host."https://a.example"] # first\n';
    const composed = composePrepended(WANTED, Buffer.from(`${K3S_HEADER}${body}`));
    assert.ok(typeof composed !== 'string');
    assert.equal(composed.k3s, true);
    assert.ok(composed.content.endsWith(body));
    assert.ok(!composed.content.includes(K3S_HEADER));
  });

  it('changes nothing if the mirror is first, or follows others in a form that cannot be moved', () => {
    const url = MIRROR.url;
    assert.equal(composePrepended(WANTED, Buffer.from(`[host."${url}"]\n`)), 'first');
    const inline = `[host]\n"https://a.example" = {}\n"${url}" = {}\n`;
    assert.equal(composePrepended(WANTED, Buffer.from(inline)), 'behind');
  });

  it('names the mirror once where the existing file names it with /v2, which containerd adds anyway', () => {
    for (const path of ['/v2', '/v2/', '/']) {
      const url = `${MIRROR.url}${path}`;
      const theirs = Buffer.from(`[host."https://a.example"]\n[host."${url}"]\n`);
      const composed = composePrepended(WANTED, theirs);
      assert.ok(typeof composed !== 'string');
      const { hosts } = parseHostsToml(composed.content);
      assert.deepEqual(
        hosts.map((host) => host.url),
        [url, 'https://a.example'],
      );
      assert.equal(composePrepended(WANTED, Buffer.from(`[host."${url}"]\n`)), 'first');
    }
    const other = Buffer.from(`[host."${MIRROR.url}/proxy"]\n`);
    const composed = composePrepended(WANTED, other);
    assert.ok(typeof composed !== 'string');
    assert.equal(parseHostsToml(composed.content).hosts.length, 2);
  });

  it('refuses a file that it cannot parse or extend', () => {
    for (const [theirs, message] of [
      [Buffer.from('server = '), /line 1: .*--prepend-existing/],
      [Buffer.from([0xff, 0xfe]), /UTF-8/],
      [Buffer.from('host."https://a".capabilities = ["pull"]\n'), /no place/],
    ] as const) {
      assert.throws(
        () => composePrepended(WANTED, theirs),
        (error) => error instanceof HostsConfigError && message.test(error.message),
      );
    }
  });
});
