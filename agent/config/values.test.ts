import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { REGISTRY_OPTIONS } from './options.ts';
import { resolveOptions, UsageError } from './resolve.ts';
import { choice, VALUE } from './values.ts';

const resolve = (
  written: Record<string, string[]>,
  env: NodeJS.ProcessEnv = {},
): ReturnType<typeof resolveOptions<typeof REGISTRY_OPTIONS>> =>
  resolveOptions(REGISTRY_OPTIONS, written, env);

describe('VALUE', () => {
  it('parses rates and zones, and refuses other texts', () => {
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

  it('parses the name of one registry', () => {
    for (const [text, registry] of [
      ['', undefined],
      ['docker.io', 'docker.io'],
      ['https://registry-1.docker.io', 'docker.io'],
      ['10.0.0.9:5000', '10.0.0.9:5000'],
    ] as const) {
      assert.equal(resolve({ 'unnamed-registry': [text] })['unnamed-registry'], registry, text);
    }
    for (const text of ['*', 'docker.io/library', 'a b']) {
      assert.throws(() => resolve({ 'unnamed-registry': [text] }), UsageError, text);
    }
  });

  it('parses IPs, as the variable of the chart has them, and refuses names', () => {
    const ips = ['10.0.0.7', 'fd00::7'];
    assert.deepEqual(resolve({}, { NODE_IP: ips.join() })['node-ip'], ips);
    assert.deepEqual(resolve({})['node-ip'], []);
    for (const text of ['node-7', '10.0.0', '[fd00::7]', '10.0.0.7:5000']) {
      assert.throws(() => resolve({ 'node-ip': [text] }), UsageError, text);
    }
  });

  it('parses durations, lists, registries and the variable of k3s', () => {
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
    ['static-bootstrap-peers', 'node-1', /NAME:PORT/],
    ['static-bootstrap-peers', '/ip4/10.0.0.999/tcp/5001', /peer address/],
    ['static-bootstrap-peers', '/ip6/10.0.0.1/tcp/5001', /peer address/],
    ['static-bootstrap-peers', '/ip4/10.0.0.1/tcp/99999', /peer address/],
    ['static-bootstrap-peers', '/ip4/10.0.0.1/tcp/5001/p2p/xyz', /peer address/],
    ['bootstrap-kind', 'gossip', /dns, http, static/],
    ['oci-layout', '/dev/null', /not a folder/],
  ] as const) {
    it(`refuses --${flag} ${text}, and says why`, () => {
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

  it('never repeats a password, even when the text is no URL', () => {
    for (const text of ['u:secret@host:5000', 'http://u:secret@ho st', 'ftp://u:secret@host']) {
      assert.throws(
        () => resolve({ 'http-bootstrap-peer': [text] }),
        ({ message }: Error) => message.includes('password') && !message.includes('secret'),
        text,
      );
    }
  });

  it('takes addresses of peers in the notations of people, on the command line and in the environment', () => {
    const written = ['10.88.0.1', '10.88.0.1:5002', '[fd00::1]:5003', 'node-1:5004'];
    const peers = [
      '/ip4/10.88.0.1/tcp/5001',
      '/ip4/10.88.0.1/tcp/5002',
      '/ip6/fd00::1/tcp/5003',
      '/dns/node-1/tcp/5004',
    ];
    const env = { STATIC_BOOTSTRAP_PEERS: written.join(', ') };
    for (const values of [resolve({ 'static-bootstrap-peers': written }), resolve({}, env)]) {
      assert.deepEqual(values['static-bootstrap-peers'], peers);
    }
  });

  it('takes peer addresses by IPv4, IPv6 and DNS, with or without a peer ID', () => {
    const peers = [
      '/ip4/10.0.0.1/tcp/5001',
      '/ip6/fd00::1/tcp/5001',
      '/dns4/a.example/tcp/65535',
      '/ip4/10.0.0.1/tcp/5001/p2p/12D3KooWPT98FXMfDQYavZm66EeVjTqP9Nnehn1gyaydqV8L8BQw',
    ];
    assert.deepEqual(resolve({ 'static-bootstrap-peers': peers })['static-bootstrap-peers'], peers);
  });

  it('takes a taint key with or without a prefix, and refuses others', () => {
    for (const key of ['not-ready', 'example.com/mirror-not-ready']) {
      assert.equal(VALUE.taintKey.parse([key]), key);
    }
    for (const key of ['', '/x', 'a/b/c', 'Example.com/x', '-x', 'x'.repeat(64)]) {
      assert.throws(() => VALUE.taintKey.parse([key]), /is no key of a taint/, key);
    }
  });

  it('takes a folder that exists or does not exist yet, and refuses a file', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'pg-values-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const path of [folder, join(folder, 'later'), '']) {
      assert.equal(VALUE.folder.parse([path]), path);
    }
    assert.throws(() => VALUE.folder.parse([file]), /is not a folder/);
  });

  it('takes true and false in several notations', () => {
    for (const text of ['true', '1', 'YES']) assert.equal(VALUE.boolean.parse([text]), true);
    for (const text of ['False', '0', 'no']) assert.equal(VALUE.boolean.parse([text]), false);
    assert.throws(() => VALUE.boolean.parse(['on']), /neither true nor false/);
  });
});

describe('choice', () => {
  it('takes one of its words in any case, and names all words otherwise', () => {
    const kind = choice('ERROR', 'INFO');
    assert.equal(kind.placeholder, 'ERROR|INFO');
    assert.equal(kind.parse(['info']), 'INFO');
    assert.throws(() => kind.parse(['debug']), /"debug" is not one of ERROR, INFO/);
  });
});
