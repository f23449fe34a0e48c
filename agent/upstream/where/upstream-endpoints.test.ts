import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseRegistries } from '../../hosts/registries/parse-registries.ts';
import { UpstreamEndpoints, type UpstreamEndpointsInit } from './upstream-endpoints.ts';

const DOCKER_HUB = { registry: 'docker.io', server: 'https://registry-1.docker.io' };

function endpoints(
  names: UpstreamEndpointsInit['names'],
  yaml?: string,
  init: Partial<UpstreamEndpointsInit> = {},
): UpstreamEndpoints {
  const registries = yaml === undefined ? undefined : { current: parseRegistries(yaml).registries };
  return new UpstreamEndpoints({ names, registries, ...init });
}

const urls = (of: UpstreamEndpoints, registry: string): string[] =>
  of.of(registry).map(({ base }) => base.href);

describe('UpstreamEndpoints', () => {
  it('are the registry itself without a file, by https unless its URL says otherwise', () => {
    const of = endpoints([
      DOCKER_HUB,
      { registry: 'ghcr.io' },
      { registry: '10.0.0.9:5000', server: 'http://10.0.0.9:5000' },
    ]);
    assert.deepEqual(urls(of, 'docker.io'), ['https://registry-1.docker.io/v2']);
    assert.deepEqual(urls(of, 'ghcr.io'), ['https://ghcr.io/v2']);
    assert.deepEqual(urls(of, '10.0.0.9:5000'), ['http://10.0.0.9:5000/v2']);
  });

  it('are none for registries that are not named', () => {
    const of = endpoints([DOCKER_HUB], 'mirrors: { quay.io: { endpoint: ["https://m.example"] } }');
    for (const registry of ['quay.io', 'registry-1.docker.io', 'localhost:5000', '']) {
      assert.deepEqual(urls(of, registry), [], registry);
      assert.equal(of.covers(registry), false, registry);
    }
  });

  it('with `*` are every registry but those on the node itself, unless one is named', () => {
    const of = endpoints([undefined, { registry: '127.0.0.1:5000' }]);
    assert.deepEqual(urls(of, 'quay.io'), ['https://quay.io/v2']);
    assert.equal(of.covers('localhost:5000'), false);
    assert.equal(of.covers('127.0.0.1:5000'), true);
  });

  it('come from registries.yaml in their order, with settings and rewrites, then the registry as it is', () => {
    const of = endpoints(
      [DOCKER_HUB],
      `
mirrors:
  docker.io:
    endpoint: ["http://10.0.0.9:30500", "https://mirror.example/hub/v2"]
    rewrite: { "^library/(.*)": "official/$1" }
configs:
  "mirror.example":
    tls: { insecure_skip_verify: true }
`,
    );
    const [first, second, own, ...more] = of.of('docker.io');
    assert.deepEqual(more, []);
    assert.equal(first?.base.href, 'http://10.0.0.9:30500/v2');
    assert.equal(first.host, '10.0.0.9:30500');
    assert.ok(first.isMirror);
    assert.equal(first.repositoryOf('nginx'), 'official/nginx');
    assert.equal(second?.base.href, 'https://mirror.example/hub/v2');
    assert.equal(second.tls?.insecureSkipVerify, true);
    assert.equal(own?.base.href, 'https://registry-1.docker.io/v2');
    assert.equal(own.isMirror, false);
    assert.equal(own.host, 'docker.io');
    assert.equal(own.repositoryOf('nginx'), 'library/nginx');
  });

  it('have the certificates of `*` where hosts.toml would, for registries without certificates and mirrors of their own', () => {
    const yaml = `
mirrors: { quay.io: { endpoint: ["https://m.example"] } }
configs: { "*": { tls: { insecure_skip_verify: true } }, ghcr.io: { auth: { username: u, password: p } } }
`;
    const of = endpoints([undefined], yaml);
    const isSkipped = (registry: string): boolean[] =>
      of.of(registry).map(({ tls }) => tls?.insecureSkipVerify === true);
    assert.deepEqual(isSkipped('registry.example'), [true]);
    assert.deepEqual(isSkipped('ghcr.io'), [true]);
    assert.deepEqual(isSkipped('quay.io'), [false, false]);
  });

  it('of `*` are used for registries without an entry', () => {
    const yaml = 'mirrors: { "*": { endpoint: ["https://all.example"] }, ghcr.io: {} }';
    const of = endpoints([undefined], yaml);
    assert.deepEqual(urls(of, 'quay.io'), ['https://all.example/v2', 'https://quay.io/v2']);
    assert.deepEqual(urls(of, 'ghcr.io'), ['https://ghcr.io/v2']);
  });

  it('leave out the registry itself where the options say so, if the file names it', () => {
    const yaml = 'mirrors: { ghcr.io: { endpoint: ["https://m.example"] } }';
    const of = endpoints([undefined], yaml, { defaultEndpoint: false });
    assert.deepEqual(urls(of, 'ghcr.io'), ['https://m.example/v2']);
    assert.deepEqual(urls(of, 'quay.io'), ['https://quay.io/v2']);
  });

  it('name the registry once', () => {
    const of = endpoints([undefined], 'mirrors: { ghcr.io: { endpoint: ["https://ghcr.io"] } }');
    assert.deepEqual(urls(of, 'ghcr.io'), ['https://ghcr.io/v2']);
  });

  it('leave out the mirror of this node, which would ask itself', () => {
    const yaml =
      'mirrors: { ghcr.io: { endpoint: ["http://127.0.0.1:5000", "https://m.example"] } }';
    const of = endpoints([undefined], yaml, { isOwn: ({ host }) => host === '127.0.0.1:5000' });
    assert.deepEqual(urls(of, 'ghcr.io'), ['https://m.example/v2', 'https://ghcr.io/v2']);
  });

  it('name rewrites that cannot be used', () => {
    const of = endpoints(
      [undefined],
      String.raw`mirrors: { a.example: { rewrite: { '\pL': 'x' } } }`,
    );
    assert.deepEqual(of.unusableRewrites, [String.raw`\pL`]);
  });
});
