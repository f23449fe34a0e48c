import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';

import fc from 'fast-check';

import { RegistriesError } from './finding.ts';
import { parseRegistries } from './parse-registries.ts';
import { configOf, isLocalRegistry, sharedRegistries, type Registries } from './registries.ts';
import { findRegistriesFile, readRegistriesFile } from './registries-file.ts';
import { renderFindings } from './render-findings.ts';
import { Secret } from './secret.ts';

/** Everything that the file can say, as the documentation of k3s writes it. */
const WHOLE = `# kept in git
mirrors:
  docker.io:
  registry.k8s.io: ~
  "*":
    endpoint: ["https://harbor.example/v2/proxy"]
  localhost:5000:
    endpoint:
      - "http://localhost:5000"
  "[::1]:5000":
  GCR.io:
    endpoint:
      - "http://127.0.0.1:30500"
      - https://registry-1.docker.io/v2/
      - https://m.example:5443
    rewrite:
      "^rancher/(.*)": "mirror/$1"
configs:
  "127.0.0.1:30500":
    auth: { username: u, password: 0123 }
  docker.io:
    auth:
      identity_token: hunter2
  registry-1.docker.io:
    tls:
      insecure_skip_verify: yes
  m.example:5443:
    auth:
      auth: aHVudGVyMjpodW50ZXIy
    tls:
      ca_file: /ca
      cert_file: /cert
      key_file: /key
      insecure_skip_verify: false
  harbor.example:
    auth: "aHVudGVyMjpodW50ZXIy"
`;

const parsed = (text: string): Registries => parseRegistries(text).registries;

describe('parseRegistries', () => {
  it('reads everything that the file can say', () => {
    const { registries, findings } = parseRegistries(WHOLE);
    assert.deepEqual(
      findings.map(({ code, line }) => [code, line]),
      [
        ['wrong-type', 20],
        ['auth-not-a-map', 36],
      ],
      'told of, and read all the same',
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

  it('shares what is under mirrors, and never the registries of the node itself', () => {
    assert.deepEqual(sharedRegistries(parsed(WHOLE)), [
      'docker.io',
      'registry.k8s.io',
      '*',
      'gcr.io',
    ]);
    assert.deepEqual(sharedRegistries(parsed('configs: {m.example: {}}')), []);
    for (const local of ['localhost', 'localhost:5', '127.9.0.1:5000', '[::1]', '[0:0::1]:5']) {
      assert.ok(isLocalRegistry(local), local);
    }
    for (const other of ['localhost.example', '128.0.0.1', '[fe80::1]:5', '[::11]', 'a:5000']) {
      assert.ok(!isLocalRegistry(other), other);
    }
  });

  it('takes the settings of Docker Hub from its real host first, as k3s does', () => {
    const { tls, auth } = configOf(parsed(WHOLE), 'docker.io');
    assert.equal(tls?.insecureSkipVerify, true);
    assert.equal(auth, undefined);
    const only = parsed('configs: {docker.io: {tls: {insecure_skip_verify: true}}}');
    assert.equal(configOf(only, 'docker.io').tls?.insecureSkipVerify, true);
  });

  it('knows which findings leave open what is shared', () => {
    for (const [text, fatal] of [
      ['mirrors:\n  *:\n', true],
      ['mirror:\n  a.example:\n', true],
      ['a.example:\n', true],
      ['mirrors: [a.example]\n', true],
      ['mirrors:\n  a.example:\n  a.example:\n', true],
      ['mirrors:\n  a.example: &x\n', true],
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
});

describe('a credential', () => {
  it('is hidden in whatever is written of it', () => {
    const secret = new Secret('hunter2');
    assert.equal(secret.reveal(), 'hunter2');
    const registries = parsed(WHOLE);
    for (const text of [
      String(secret),
      // What happens by accident is what is tested.
      // eslint-disable-next-line @typescript-eslint/restrict-template-expressions
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ secret }, { depth: 9, showHidden: true }),
      inspect(registries, { depth: 20, showHidden: true }),
      JSON.stringify([...registries.configs]),
      JSON.stringify(structuredClone(secret)),
    ]) {
      assert.doesNotMatch(text, /hunter2|aHVudGVy/);
    }
    assert.match(inspect(registries, { depth: 20 }), /\[hidden\]/);
  });
});

describe('a hostile registries.yaml', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-registries-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('of 10 MB is refused without being read', () => {
    const path = join(folder, 'large.yaml');
    writeFileSync(path, '');
    truncateSync(path, 10_000_000);
    assert.throws(() => readRegistriesFile(path), /10000000 bytes; .* more than 1 MiB is not read/);
    truncateSync(path, 2 ** 40);
    assert.throws(() => readRegistriesFile(path), RegistriesError, 'more than there is memory');
  });

  it('that is none is refused by name', () => {
    const path = join(folder, 'latin1.yaml');
    writeFileSync(path, Buffer.from([0x61, 0xe4]));
    assert.throws(() => readRegistriesFile(path), /latin1\.yaml: not UTF-8 text/);
    assert.throws(() => readRegistriesFile(folder), /not a regular file/);
    assert.throws(() => readRegistriesFile(join(folder, 'none')), /none: cannot be read: no such/);
    assert.equal(findRegistriesFile([join(folder, 'none'), path]), path);
    assert.equal(findRegistriesFile([join(folder, 'none')]), undefined);
    const loop = join(folder, 'loop.yaml');
    symlinkSync(loop, loop);
    assert.equal(findRegistriesFile([loop]), loop, 'not looked past, as if there were none');
    assert.throws(() => readRegistriesFile(loop), RegistriesError);
  });

  const MIB = 1_000_000;
  for (const [name, text, code] of [
    ['brackets', '['.repeat(MIB), 'too-complex'],
    ['braces', '{a: '.repeat(MIB / 4), 'too-complex'],
    ['dashes', '- '.repeat(MIB / 2), 'too-complex'],
    ['question marks', '? '.repeat(MIB / 2), 'too-complex'],
    ['colons', ': '.repeat(MIB / 2), undefined],
    ['spaces', `${' '.repeat(MIB)}a: b`, 'too-complex'],
    ['a long line', `a${' '.repeat(MIB)}b`, undefined],
    ['a long quote', `mirrors: "${'\\"'.repeat(MIB / 2)}`, undefined],
    [
      'levels',
      Array.from({ length: 1400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
      'too-complex',
    ],
    ['anchors', `a: &a b\n${'b: *a\n'.repeat(MIB / 20)}`, 'anchor'],
    ['keys', Array.from({ length: MIB / 100 }, (_, i) => `k${i}:`).join('\n'), 'unknown-key'],
    ['equal keys', 'mirrors:\n'.repeat(MIB / 100), 'duplicate-key'],
    ['more keys', 'mirrors:\n'.repeat(MIB / 10), 'too-complex'],
    [
      'hosts that are nearly those of endpoints',
      `mirrors:\n${Array.from({ length: 4_000 }, (_, i) => `  m${i}.example:`).join('\n')}\nconfigs:\n${Array.from({ length: 4_000 }, (_, i) => `  c${i}.example: {}`).join('\n')}\n`,
      'unused-config',
    ],
  ] as const) {
    it(`full of ${name} costs neither the stack nor the day, and has few findings`, () => {
      const { findings } = parseRegistries(text);
      assert.ok(findings.length >= 1 && findings.length <= 200, String(findings.length));
      if (code !== undefined) assert.ok(findings.some((finding) => finding.code === code));
      for (const { source, correction = '' } of findings) {
        assert.ok(source.length <= 250 && correction.length <= 250);
      }
    });
  }

  it('of any text gives findings or a result, and never an error', () => {
    const line = fc.oneof(
      fc.constantFrom(...WHOLE.split('\n')),
      fc.constantFrom(
        '*:',
        '- x',
        '\t- "',
        "''",
        '{',
        '}]',
        '? a',
        '!t &a *a',
        '---',
        '|',
        '>-',
        '"\\',
      ),
      fc.string({ maxLength: 12, unit: 'binary' }),
    );
    const text = fc
      .array(fc.tuple(fc.nat({ max: 8 }), line), { maxLength: 20 })
      .map((lines) => lines.map(([indent, rest]) => ' '.repeat(indent) + rest).join('\n'));
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'binary', maxLength: 200 })), (any) => {
        const { findings, registries } = parseRegistries(any);
        sharedRegistries(registries);
        const count = any.split('\n').length;
        for (const { line: at, column, caret, source } of findings) {
          assert.ok(at >= 1 && at <= count);
          assert.ok(column >= 1 && caret >= 0 && caret <= source.length);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('never tells a credential, however its lines are broken', () => {
    const secret = fc
      .tuple(
        fc.constantFrom('SECRET', 'hunter2', 'S3CR3T', 'pa55'),
        fc.constantFrom('', '-x.y', ': a', '/b', '#c', ' d', "'e", '=', '@f', '{g}', ', h'),
      )
      .map(([word, rest]) => ({ word, text: word + rest }));
    const place = fc.constantFrom(
      (text: string) => `    auth:\n      username: ${text}\n      password: ${text}\n`,
      (text: string) => `    auth: {username: "${text}", password: '${text}'}\n`,
      (text: string) => `    auth: ${text}\n`,
      (text: string) => `    auth:\n      auth: ${text}\n      identity_token: "${text}"\n`,
      (text: string) => `    auth:\n      passwrod: ${text}\n      pasword: "${text}\n`,
      (text: string) => `    auth:\n      password: |\n        ${text}\n        ${text}\n`,
      (text: string) => `    auth:\n      password:\n        ${text}\n`,
      (text: string) => `    auth:\n      password: [${text}, {a: ${text}}]\n`,
      (text: string) => `    auth: {${text}: x}\n`,
      (text: string) => `    password: ${text}\n    tls: {username: ${text}}\n`,
      (text: string) => `    # ${text}\n    tls: {} # ${text}\n`,
    );
    const mutation = fc.oneof(
      fc.record({ kind: fc.constant('indent' as const), line: fc.nat(), by: fc.nat({ max: 6 }) }),
      fc.record({ kind: fc.constant('tab' as const), line: fc.nat(), by: fc.constant(1) }),
      fc.record({ kind: fc.constant('colon' as const), line: fc.nat(), by: fc.constant(1) }),
      fc.record({ kind: fc.constant('quote' as const), line: fc.nat(), by: fc.constant(1) }),
    );
    fc.assert(
      fc.property(secret, place, fc.array(mutation, { maxLength: 3 }), (hidden, at, changes) => {
        const url = encodeURIComponent(hidden.text);
        const lines =
          `mirrors:\n  m.example:\n    endpoint:\n      - https://u:${url}@m.example?t=${url}\nconfigs:\n  m.example:\n${at(hidden.text)}`.split(
            '\n',
          );
        for (const { kind, line, by } of changes) {
          const index = line % lines.length;
          const text = lines[index] ?? '';
          // The key stays a key: what stands in a line of its own is told apart by it.
          if (kind === 'indent') lines[index] = ' '.repeat(by) + text.trimStart();
          if (kind === 'tab') lines[index] = text.replace(/^ {2}/, '\t');
          if (kind === 'colon') lines[index] = text.replace(/:$/, '');
          if (kind === 'quote') lines[index] = text.replace(/"$/, '');
        }
        const { findings, registries } = parseRegistries(lines.join('\n'));
        const told = [
          JSON.stringify(findings),
          renderFindings('F', findings),
          inspect(registries, { depth: 20, showHidden: true }),
        ].join('\n');
        assert.ok(!told.includes(hidden.word), `${lines.join('\n')}\n---\n${told}`);
      }),
      {
        numRuns: 1_500,
        examples: [
          [
            { word: 'pa55', text: 'pa55: a' },
            (text: string) => `    auth:\n      password:\n        ${text}\n`,
            [{ kind: 'indent', line: 8, by: 2 }],
          ],
        ],
      },
    );
  });
});
