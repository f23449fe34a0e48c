import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertFindings, WHOLE_REGISTRIES } from '../../testing/registry-findings.ts';
import { correctedText, parseRegistries } from './parse-registries.ts';
import { configOf } from './registries.ts';

const CASES: readonly (readonly [problem: string, text: string, findings: string])[] = [
  ['an empty file', '', 'F:1:1: error: the file is empty: it names no registry\n'],
  [
    'a file with comments only',
    '# hunter2\n',
    'F:1:1: error: the file is empty: it names no registry\n',
  ],
  [
    'a list at the top',
    '- docker.io\n',
    `F:1:1: error: the file must be a map with mirrors: and configs:
  1 | - docker.io
    | ^
`,
  ],
];

describe('parseRegistries', () => {
  for (const [problem, text, findings] of CASES) {
    it(`reports ${problem}`, () => {
      assertFindings(text, findings);
    });
  }

  it('reads every key of the format', () => {
    const { registries, findings } = parseRegistries(WHOLE_REGISTRIES);
    assert.deepEqual(
      findings.map(({ code, line }) => [code, line]),
      [
        ['wrong-type', 20],
        ['auth-not-a-map', 36],
      ],
      'reported as findings, and read nevertheless',
    );
    assert.deepEqual(
      [...registries.mirrors],
      [
        ['docker.io', { endpoints: [], rewrites: [] }],
        ['registry.k8s.io', { endpoints: [], rewrites: [] }],
        [
          '*',
          {
            endpoints: [
              {
                url: 'https://harbor.example/v2/proxy',
                host: 'harbor.example',
                overridesPath: true,
              },
            ],
            rewrites: [],
          },
        ],
        [
          'localhost:5000',
          {
            endpoints: [
              { url: 'http://localhost:5000', host: 'localhost:5000', overridesPath: false },
            ],
            rewrites: [],
          },
        ],
        ['[::1]:5000', { endpoints: [], rewrites: [] }],
        [
          'gcr.io',
          {
            endpoints: [
              { url: 'http://127.0.0.1:30500', host: '127.0.0.1:30500', overridesPath: false },
              { url: 'https://registry-1.docker.io', host: 'docker.io', overridesPath: false },
              { url: 'https://m.example:5443', host: 'm.example:5443', overridesPath: false },
            ],
            rewrites: [{ pattern: '^rancher/(.*)', replacement: 'mirror/$1' }],
          },
        ],
      ],
    );
    const first = registries.configs.get('127.0.0.1:30500')?.auth;
    assert.equal(first?.username?.reveal(), 'u');
    assert.equal(first.password?.reveal(), '0123', 'as written, not as a number');
    const config = configOf(registries, 'm.example:5443');
    assert.equal(config.auth?.auth?.reveal(), 'aHVudGVyMjpodW50ZXIy');
    assert.deepEqual(config.tls, {
      caFile: '/ca',
      certFile: '/cert',
      keyFile: '/key',
      insecureSkipVerify: false,
    });
    const plain = configOf(registries, 'harbor.example').auth?.auth;
    assert.equal(plain?.reveal(), 'aHVudGVyMjpodW50ZXIy');
  });

  it('marks the findings that make it uncertain which registries are shared', () => {
    for (const [text, fatal] of [
      ['mirrors:\n  *:\n', true],
      ['mirror:\n  a.example:\n', true],
      ['a.example:\n', true],
      ['mirrors: [a.example]\n', true],
      ['mirrors:\n  a.example:\n  a.example:\n', true],
      ['mirrors:\n  a.example: *x\n', true],
      ['mirror: &x\n  a.example: &y {}\n', true],
      ['a.example: &x {}\n', true],
      ['mirrors:\n  my_gcr:\n  a.example/team:\n', false],
      ['mirrors:\n  a.example:\n    endpoint: "x', true],
      ['mirrors:\n  a.example:\n    endpoints: []\n', false],
      ['mirrors:\n  a.example:\n    endpoint: [b.example]\n', false],
      ['mirrors:\n  a.example:\nconfigs:\n  a.example: {tls: {ssl: true}}\n', false],
      ['other: 1\nmirrors:\n  a.example:\n', false],
    ] as const) {
      const { findings } = parseRegistries(text);
      assert.notEqual(findings.length, 0, text);
      assert.equal(
        findings.some((finding) => finding.fatal),
        fatal,
        text,
      );
    }
  });

  it('reads anchors, aliases and merge keys as k3s does, without a finding', () => {
    const text = `x-node: &node
  endpoint: &endpoints
    - &here http://127.0.0.1:30500
    - https://m.example
.tls: &tls { insecure_skip_verify: true, ca_file: /ca }
mirrors:
  docker.io: *node
  ghcr.io:
    endpoint: *endpoints
  quay.io:
    <<: *node
    endpoint: [*here]
  gcr.io:
    <<: [{ rewrite: { a: b } }, *node]
configs:
  m.example:
    tls: { <<: *tls, ca_file: /other }
`;
    const { registries, findings } = parseRegistries(text);
    assert.deepEqual(findings, []);
    const urls = [...registries.mirrors].map(([name, { endpoints }]) => [
      name,
      ...endpoints.map(({ url }) => url),
    ]);
    const both = ['http://127.0.0.1:30500', 'https://m.example'];
    assert.deepEqual(urls, [
      ['docker.io', ...both],
      ['ghcr.io', ...both],
      ['quay.io', 'http://127.0.0.1:30500'],
      ['gcr.io', ...both],
    ]);
    assert.equal(registries.mirrors.get('gcr.io')?.rewrites.length, 1);
    const { tls } = configOf(registries, 'm.example');
    assert.deepEqual(tls, { caFile: '/other', insecureSkipVerify: true });
  });
});

describe('correctedText', () => {
  it('has every correction, credentials included, and keeps what is a choice', () => {
    const text =
      '\ufeffmirrors:\n  docker.io:\n  endpoint: [http://m.example]\nconfigs:\n  m.example:\n    auth: {user: "hunter2", pasword: 5}\n    tls: {insecure: yes}\n';
    assert.equal(
      correctedText(text).text,
      'mirrors:\n  docker.io:\n    endpoint: [http://m.example]\nconfigs:\n  m.example:\n    auth: {username: "hunter2", password: 5}\n    tls: {insecure_skip_verify: yes}\n',
    );
  });

  it('leaves a file without findings as it is, and takes Windows line ends', () => {
    const whole = WHOLE_REGISTRIES.replace('0123', '"0123"').replace(
      /auth: ("aH.*")/,
      'auth: {auth: $1}',
    );
    assert.equal(correctedText(whole).text, whole);
    assert.equal(correctedText('mirrors:\r\n  *:\r\n').text, 'mirrors:\r\n  "*":\r\n');
  });
});
