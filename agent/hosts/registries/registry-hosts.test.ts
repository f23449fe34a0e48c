import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseHostsToml, type HostEntry } from '../hosts-toml.ts';
import { renderHostsToml } from '../render-hosts-toml.ts';
import { parseRegistries } from './parse-registries.ts';
import { registryHosts, type RenderedRegistries } from './registry-hosts.ts';

const MIRROR: HostEntry = {
  url: 'http://127.0.0.1:5000',
  capabilities: ['pull', 'resolve'],
  dialTimeout: '200ms',
};

const render = (text: string, defaultEndpoint = true): RenderedRegistries =>
  registryHosts(parseRegistries(text).registries, { mirrors: [MIRROR], defaultEndpoint });

/** The files by registry, as the text that is written. */
function files(text: string, defaultEndpoint = true): Record<string, string> {
  return Object.fromEntries(
    render(text, defaultEndpoint).hosts.map(({ registry, file }) => {
      const toml = renderHostsToml(file);
      parseHostsToml(toml);
      return [registry, toml];
    }),
  );
}

const OURS = `[host.'http://127.0.0.1:5000']
capabilities = ['pull', 'resolve']
dial_timeout = '200ms'
`;

describe('registryHosts', () => {
  it('names the mirror first, then the endpoints in their order, then the registry', () => {
    const text = `
mirrors:
  docker.io:
    endpoint:
      - "http://10.0.0.5:30500"
      - "https://harbor.example/v2/proxy"
      - "https://m.example:5443/v2"
configs:
  m.example:5443:
    tls: { ca_file: /etc/ca.crt, cert_file: /etc/m.crt, key_file: /etc/m.key }
  harbor.example:
    tls: { insecure_skip_verify: true }
  docker.io:
    tls: { ca_file: /etc/proxy.crt }
`;
    assert.equal(
      files(text)['docker.io'],
      `server = 'https://registry-1.docker.io'
ca = ['/etc/proxy.crt']

${OURS}
[host.'http://10.0.0.5:30500']
capabilities = ['pull', 'resolve']

[host.'https://harbor.example/v2/proxy']
capabilities = ['pull', 'resolve']
skip_verify = true
override_path = true

[host.'https://m.example:5443']
capabilities = ['pull', 'resolve']
ca = ['/etc/ca.crt']
client = [['/etc/m.crt', '/etc/m.key']]
`,
    );
  });

  it('names the mirror as the server without the default endpoint', () => {
    const text = 'mirrors: {ghcr.io: {endpoint: [https://m.example]}, "*": {}}\n';
    assert.deepEqual(files(text, false), {
      'ghcr.io': `server = 'http://127.0.0.1:5000'
capabilities = ['pull', 'resolve']
dial_timeout = '200ms'

${OURS}
[host.'https://m.example']
capabilities = ['pull', 'resolve']
`,
      _default: `server = 'http://127.0.0.1:5000'
capabilities = ['pull', 'resolve']
dial_timeout = '200ms'

${OURS}`,
    });
  });

  it('writes * to the default folder, and its endpoints also to registries with only TLS settings', () => {
    const text = `
mirrors: {"*": {endpoint: [http://m.example]}}
configs:
  r.example: {tls: {insecure_skip_verify: true}}
  m.example: {auth: {identity_token: hunter2}}
`;
    const endpoint = `\n[host.'http://m.example']\ncapabilities = ['pull', 'resolve']\n`;
    assert.deepEqual(files(text), {
      _default: `${OURS}${endpoint}`,
      'r.example': `server = 'https://r.example'\nskip_verify = true\n\n${OURS}${endpoint}`,
    });
  });

  it('writes files for TLS settings of registries that are not mirrored', () => {
    const text = `
mirrors: {a.example: }
configs:
  b.example: {tls: {ca_file: /ca}}
  c.example: {auth: {identity_token: hunter2}}
`;
    assert.deepEqual(files(text), {
      'a.example': `server = 'https://a.example'\n\n${OURS}`,
      'b.example': `server = 'https://b.example'\nca = ['/ca']\n`,
    });
  });

  it('does not mirror registries on the node itself', () => {
    const text = `
mirrors:
  localhost:5000: {endpoint: [http://127.0.0.1:5001]}
  127.0.0.1:5000:
`;
    assert.deepEqual(files(text), {
      'localhost:5000': `[host.'http://127.0.0.1:5001']\ncapabilities = ['pull', 'resolve']\n`,
    });
  });

  it('names no host twice if an endpoint is the mirror or the registry itself', () => {
    const text =
      'mirrors: {docker.io: {endpoint: ["http://127.0.0.1:5000", "https://docker.io/v2"]}}';
    assert.deepEqual(files(text), {
      'docker.io': `server = 'https://registry-1.docker.io'\n\n${OURS}`,
    });
  });

  it('writes no TLS settings for http, because containerd would try https first', () => {
    const text =
      'mirrors: {a.example: {endpoint: [http://m.example:5000]}}\nconfigs: {m.example:5000: {tls: {insecure_skip_verify: true}}}';
    assert.doesNotMatch(files(text)['a.example'] ?? '', /skip_verify/);
  });

  it('never writes credentials, and warns about settings that it leaves out', () => {
    const text = `
mirrors:
  a.example: {endpoint: [https://m.example], rewrite: {"^a/": "b/"}}
configs:
  m.example: {auth: {username: hunter2, password: hunter2}}
  a.example: {auth: {auth: aHVudGVyMjpodW50ZXIy}}
`;
    const { hosts, warnings } = render(text);
    assert.doesNotMatch(JSON.stringify([hosts, warnings]), /hunter2|aHVudGVy|Authorization/);
    assert.deepEqual(
      warnings.map((warning) => warning.replace(/:.*/, '')),
      [
        'the credentials for m.example are not written to hosts.toml, which others can read',
        'the credentials for a.example are not written to hosts.toml, which others can read',
        'the rewrite of a.example is left out',
      ],
    );
  });
});
