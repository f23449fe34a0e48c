import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { authFor, parseDockerConfig, type Credential } from './docker-config.ts';

const config = (auths: unknown, more: object = {}): string => JSON.stringify({ auths, ...more });
const auth = (user: string, password: string): string => btoa(`${user}:${password}`);

function shown(credential: Credential | undefined): unknown {
  return (
    credential &&
    Object.fromEntries(
      Object.entries(credential).map(([name, secret]) => [
        name,
        (secret as { reveal(): string }).reveal(),
      ]),
    )
  );
}

describe('parseDockerConfig', () => {
  it('reads what docker login, kubectl create secret and registries write', () => {
    const { auths } = parseDockerConfig(
      config({
        'https://index.docker.io/v1/': { auth: auth('hub', 'a:b') },
        'ghcr.io': { username: 'gh', password: 'token', auth: 'ignored' },
        'registry.example:443': { identitytoken: 'refresh', auth: auth('00000', '') },
        'https://quay.io/v2/': { registrytoken: 'bearer' },
      }),
    );
    assert.deepEqual(
      auths.map(({ host, path, credential }) => [host, path, shown(credential)]),
      [
        ['docker.io', '', { username: 'hub', password: 'a:b' }],
        ['ghcr.io', '', { username: 'gh', password: 'token' }],
        ['registry.example', '', { username: '00000', identityToken: 'refresh' }],
        ['quay.io', '', { registryToken: 'bearer' }],
      ],
    );
  });

  it('leaves out entries without credentials', () => {
    const { auths } = parseDockerConfig(
      config({
        a: {},
        b: { auth: '!!' },
        c: { username: 'u' },
        d: null,
        e: { auth: btoa('no colon') },
      }),
    );
    assert.deepEqual(auths, []);
    assert.deepEqual(parseDockerConfig('{}'), { auths: [], helpers: [], tooWide: [] });
  });

  it('names programs that would have the credentials', () => {
    const { helpers } = parseDockerConfig(
      config({}, { credsStore: 'desktop', credHelpers: { 'gcr.io': 'gcloud' } }),
    );
    assert.deepEqual(helpers, ['credsStore: desktop', 'credHelpers: gcr.io']);
  });

  it('leaves out patterns that hosts of other owners match, and names them', () => {
    const entry = { auth: auth('u', 'p') };
    const wide = ['*', '*.io', '*.co.uk', 'registry.*', 'a*.*:5000', 'https://*.com/team'];
    const close = ['*.registry.example', '*.gcr.io', '*.dkr.ecr.*.amazonaws.com', 'r?.a.co.uk:443'];
    const { auths, tooWide } = parseDockerConfig(
      config(Object.fromEntries([...wide, ...close].map((it) => [it, entry]))),
    );
    assert.deepEqual(tooWide, ['*', '*.io', '*.co.uk', 'registry.*', 'a*.*:5000', '*.com']);
    assert.deepEqual(
      auths.map(({ host }) => host),
      ['*.registry.example', '*.gcr.io', '*.dkr.ecr.*.amazonaws.com', 'r?.a.co.uk'],
    );
  });

  it('refuses another text without repeating it', () => {
    for (const text of ['secret', '[]', '"secret"', '']) {
      assert.throws(
        () => parseDockerConfig(text),
        (error: Error) =>
          error.message.includes('it is no JSON') && !error.message.includes('secret'),
      );
    }
  });
});

describe('authFor', () => {
  const parsed = parseDockerConfig(
    config({
      'registry.example': { auth: auth('all', 'p') },
      'registry.example/team': { auth: auth('team', 'p') },
      'registry.example/team/app': { auth: auth('app', 'p') },
      'https://index.docker.io/v1/': { auth: auth('hub', 'p') },
      '10.0.0.9:5000': { auth: auth('port', 'p') },
    }),
  );
  for (const [host, repository, user] of [
    ['registry.example', 'other', 'all'],
    ['registry.example', 'team', 'team'],
    ['registry.example', 'team/tool', 'team'],
    ['registry.example', 'team/app', 'app'],
    ['registry.example', 'teams/app', 'all'],
    ['docker.io', 'library/nginx', 'hub'],
    ['registry-1.docker.io', 'library/nginx', 'hub'],
    ['10.0.0.9:5000', 'a', 'port'],
  ] as const) {
    it(`of ${host}/${repository} is that of ${user}`, () => {
      assert.equal(authFor(parsed, host, repository)?.username?.reveal(), user);
    });
  }

  it('of a pattern is for the hosts that it names, behind that of the host itself', () => {
    const patterns = parseDockerConfig(
      config({
        '*.registry.example': { auth: auth('any', 'p') },
        'eu*.registry.example': { auth: auth('eu', 'p') },
        '*.registry.example/team': { auth: auth('team', 'p') },
        'eu1.registry.example': { auth: auth('eu1', 'p') },
      }),
    );
    for (const [host, repository, user] of [
      ['us1.registry.example', 'app', 'any'],
      ['eu2.registry.example', 'app', 'eu'],
      ['eu2.registry.example', 'team/app', 'team'],
      ['eu1.registry.example', 'team/app', 'eu1'],
      ['registry.example', 'app', undefined],
      ['a.us1.registry.example', 'app', undefined],
      ['us1.registry.example.evil.io', 'app', undefined],
    ] as const) {
      assert.equal(authFor(patterns, host, repository)?.username?.reveal(), user, host);
    }
  });

  it('of another host is none', () => {
    for (const host of ['10.0.0.9', 'sub.registry.example', 'registry.example:5000', 'example']) {
      assert.equal(authFor(parsed, host, 'team/app'), undefined, host);
    }
  });
});
