import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { COMMON_OPTIONS, REGISTRY_OPTIONS, environmentName } from './options.ts';
import { UsageError, resolveOptions, splitList } from './resolve.ts';

const resolve = (
  written: Record<string, string[]>,
  env: NodeJS.ProcessEnv = {},
): ReturnType<typeof resolveOptions<typeof REGISTRY_OPTIONS>> =>
  resolveOptions(REGISTRY_OPTIONS, written, env);

describe('resolveOptions', () => {
  it("has Spegel's defaults", () => {
    const values = resolve({});
    assert.deepEqual(values['registry-addr'], { host: '', port: 5000 });
    assert.deepEqual(values['router-addr'], { host: '', port: 5001 });
    assert.deepEqual(values['metrics-addr'], { host: '', port: 9090 });
    assert.equal(values['containerd-sock'], '/run/containerd/containerd.sock');
    assert.equal(values['containerd-namespace'], 'k8s.io');
    assert.equal(
      values['containerd-content-path'],
      '/var/lib/containerd/io.containerd.content.v1.content',
    );
    assert.equal(values['mirror-resolve-timeout'], 20);
    assert.equal(values['mirror-resolve-retries'], 3);
    assert.equal(values['enable-latest'], false);
    assert.equal(values['debug-web-enabled'], true);
    assert.deepEqual(values['registry-filters'], []);
    assert.equal(resolveOptions(COMMON_OPTIONS, {}, {})['log-level'], 'INFO');
  });

  it('prefers the flag to the variable, and takes an empty variable as not set', () => {
    const env = { REGISTRY_ADDR: '127.0.0.1:1', METRICS_ADDR: '' };
    assert.deepEqual(resolve({}, env)['registry-addr'], { host: '127.0.0.1', port: 1 });
    const both = resolve({ 'registry-addr': ['[::1]:2'] }, env);
    assert.deepEqual(both['registry-addr'], { host: '::1', port: 2 });
    assert.deepEqual(resolve({}, env)['metrics-addr'], { host: '', port: 9090 });
  });

  it('reads rates and zones, and says what is none', () => {
    for (const [text, rate] of [
      ['', 0],
      ['0', 0],
      ['10MiB', 10_485_760],
      ['10Mi', 10_485_760],
      ['2048KiB', 2_097_152],
      ['1GiB', 1_073_741_824],
      ['2000000', 2_000_000],
    ] as const) {
      assert.equal(resolve({ 'upload-limit': [text] })['upload-limit'], rate, text);
    }
    for (const text of ['10', '512KiB', '10M', '10MB', '10iB', '-1MiB', 'fast', '10 MiB']) {
      assert.throws(() => resolve({ 'download-limit': [text] }), UsageError, text);
    }
    assert.equal(resolve({}, { ZONE: 'eu-central-1a' }).zone, 'eu-central-1a');
    for (const text of ['a b', '-a', 'ä', 'a'.repeat(64)]) {
      assert.throws(() => resolve({ zone: [text] }), UsageError, text);
    }
  });

  it('reads durations, lists, registries and the variable of k3s', () => {
    const values = resolve(
      { 'mirror-resolve-timeout': ['1m1.5s'], 'registry-filters': ['a{1,2}', ':dev$'] },
      {
        K3S_P2P_ENABLE_LATEST: 'true',
        MIRRORED_REGISTRIES: 'https://registry-1.docker.io, ghcr.io',
      },
    );
    assert.equal(values['mirror-resolve-timeout'], 61_500);
    const odd = resolve({
      'stall-timeout': ['1.1h'],
      'peer-timeout': ['.5s'],
      'shutdown-timeout': ['0'],
      'registry-filters': [''],
      'scrub-rate': ['1.5KiB'],
    });
    assert.equal(odd['scrub-rate'], 1_536);
    assert.equal(values['scrub-rate'], 10_485_760);
    assert.equal(odd['stall-timeout'], 3_960_000);
    assert.equal(odd['peer-timeout'], 500);
    assert.equal(odd['shutdown-timeout'], 0);
    assert.equal(resolve({ 'hold-back-size': ['8Mi'] })['hold-back-size'], 8 * 1024 ** 2);
    assert.deepEqual(odd['registry-filters'], []);
    assert.deepEqual(values['registry-filters'].map(String), ['/a{1,2}/', '/:dev$/']);
    assert.deepEqual(values['mirrored-registries'], [
      { registry: 'docker.io', server: 'https://registry-1.docker.io' },
      { registry: 'ghcr.io', server: 'https://ghcr.io' },
    ]);
    assert.equal(values['enable-latest'], true);
  });

  for (const [flag, text, says] of [
    ['registry-addr', '5000', /HOST:PORT/],
    ['registry-addr', ':70000', /HOST:PORT/],
    ['registry-addr', '[nonsense]:1', /HOST:PORT/],
    ['mirror-resolve-timeout', '20', /20ms/],
    ['mirror-resolve-timeout', '0', /too short/],
    ['compare-interval', '10ms', /too short/],
    ['mirror-resolve-timeout', '-1s', /duration/],
    ['mirror-resolve-retries', 'many', /whole number/],
    ['scrub-rate', '10MB', /10MiB/],
    ['scrub-rate', '-1', /size/],
    ['scrub-rate', '999999999999GiB', /size/],
    ['hold-back-size', '4MB', /10MiB/],
    ['hold-back-size', '2Gi', /at most 1GiB/],
    ['registry-filters', '(', /Invalid regular expression/],
    ['mirrored-registries', 'docker.io/library', /registry/],
    ['http-bootstrap-peer', 'ftp://x', /http/],
    ['http-bootstrap-peer', 'http://u:p@x', /password/],
    ['static-bootstrap-peers', '10.0.0.1:5001', /\/ip4\//],
    ['static-bootstrap-peers', '/ip4/10.0.0.999/tcp/5001', /peer address/],
    ['static-bootstrap-peers', '/ip6/10.0.0.1/tcp/5001', /peer address/],
    ['static-bootstrap-peers', '/ip4/10.0.0.1/tcp/99999', /peer address/],
    ['static-bootstrap-peers', '/ip4/10.0.0.1/tcp/5001/p2p/xyz', /peer address/],
    ['bootstrap-kind', 'gossip', /dns, http, static/],
    ['oci-layout', '/dev/null', /not a folder/],
  ] as const) {
    it(`refuses --${flag} ${text} and says why`, () => {
      assert.throws(
        () => resolve({ [flag]: [text] }),
        (error) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, new RegExp(`^--${flag}: `));
          assert.match(error.message, says);
          return true;
        },
      );
    });
  }

  it('repeats no password, in what is no URL either', () => {
    for (const text of ['u:secret@host:5000', 'http://u:secret@ho st', 'ftp://u:secret@host']) {
      assert.throws(
        () => resolve({ 'http-bootstrap-peer': [text] }),
        ({ message }: Error) => message.includes('password') && !message.includes('secret'),
        text,
      );
    }
  });

  it('takes addresses of peers of every kind', () => {
    const peers = [
      '/ip4/10.0.0.1/tcp/5001',
      '/ip6/fd00::1/tcp/5001',
      '/dns4/a.example/tcp/65535',
      '/ip4/10.0.0.1/tcp/5001/p2p/12D3KooWPT98FXMfDQYavZm66EeVjTqP9Nnehn1gyaydqV8L8BQw',
    ];
    assert.deepEqual(resolve({ 'static-bootstrap-peers': peers })['static-bootstrap-peers'], peers);
  });

  it('names the variable when that is wrong, and refuses a flag given twice', () => {
    assert.throws(() => resolve({}, { REGISTRY_ADDR: 'x' }), /^UsageError: REGISTRY_ADDR: /);
    assert.throws(() => resolve({ 'data-dir': ['a', 'b'] }), /given 2 times/);
  });
});

describe('the option table', () => {
  it('gives every option a variable of its own and a default that parses', () => {
    const table = { ...REGISTRY_OPTIONS, ...COMMON_OPTIONS };
    const names = Object.entries(table).map(([flag, option]) => environmentName(flag, option));
    assert.equal(new Set(names).size, names.length);
    assert.doesNotThrow(() => resolveOptions(table, {}, {}));
  });
});

describe('splitList', () => {
  it('gives back what was joined with quotes', () => {
    const item = fc.string({ minLength: 1 }).filter((text) => text.trim() !== '');
    fc.assert(
      fc.property(fc.array(item), (items) => {
        const text = items.map((each) => `"${each.replaceAll('"', '""')}"`).join(',');
        assert.deepEqual(splitList(text), items);
      }),
    );
  });
});
