import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isMap, type YAMLMap } from 'yaml';

import { assertFindings } from '../../testing/registry-findings.ts';
import { NodeReader, type Entry } from './node-reader.ts';
import { SourceText } from './source-text.ts';
import { parseYaml } from './yaml-syntax.ts';

const CASES: readonly (readonly [problem: string, text: string, findings: string])[] = [
  [
    'unknown keys, each with the most similar known key',
    'mirror:\n  a.example:\nmirrors:\n  m.example:\n    endpoints: [https://n.example]\n    flavour: x\nconfigs:\n  m.example:\n    tls:\n      insecureskipverify: true\n      insecure-skip-verify: true\n      cafile: /x\n    auth:\n      user: hunter2\n      passwrod: hunter2\n      hunter2: x\n    ssl: {}\n',
    `F:1:1: error: k3s does not know "mirror" at the top of the file, and ignores it; did you mean mirrors?
  1 | mirror:
    | ^
    = mirrors:

F:5:5: error: k3s does not know "endpoints" under a mirror, and ignores it; did you mean endpoint?
  5 |     endpoints: [https://n.example]
    |     ^
    =     endpoint: [https://n.example]

F:6:5: error: k3s does not know "flavour" under a mirror, and ignores it; it knows endpoint, rewrite
  6 |     flavour: [hidden]
    |     ^

F:10:7: error: k3s does not know "insecureskipverify" under tls, and ignores it; did you mean insecure_skip_verify?
  10 |       insecureskipverify: true
     |       ^
     =       insecure_skip_verify: true

F:11:7: error: k3s does not know "insecure-skip-verify" under tls, and ignores it; did you mean insecure_skip_verify?
  11 |       insecure-skip-verify: true
     |       ^
     =       insecure_skip_verify: true

F:12:7: error: k3s does not know "cafile" under tls, and ignores it; did you mean ca_file?
  12 |       cafile: /x
     |       ^
     =       ca_file: /x

F:14:7: error: k3s does not know "user" under auth, and ignores it; did you mean username?
  14 |       user: [hidden]
     |       ^
     =       username: [hidden]

F:15:7: error: k3s does not know "passwrod" under auth, and ignores it; did you mean password?
  15 |       passwrod: [hidden]
     |       ^
     =       password: [hidden]

F:16:7: error: k3s does not know this key under auth, and ignores it; it knows username, password, auth, identity_token
  16 |       [hidden]: [hidden]
     |       ^

F:17:5: error: k3s does not know "ssl" under a host, and ignores it; it knows auth, tls
  17 |     ssl: {}
     |     ^
`,
  ],
  [
    'values of the wrong type',
    'mirrors:\n  docker.io: https://m.example\n  ghcr.io: [https://m.example]\n  quay.io:\n    endpoint: https://m.example\nconfigs:\n  m.example:\n    auth: hunter2\n    tls:\n      insecure_skip_verify: "true"\n      key_file: [a]\n  n.example: 1\n  docker.io:\n    auth:\n      username: 4711\n      password: {a: hunter2}\n',
    `F:2:14: error: under "docker.io" there must be a map: endpoint, rewrite, or nothing
  2 |   docker.io: https://m.example
    |              ^
    =   docker.io: { endpoint: ["https://m.example"] }

F:3:12: error: under "ghcr.io" there must be a map: endpoint, rewrite, or nothing
  3 |   ghcr.io: [https://m.example]
    |            ^

F:5:15: error: endpoint must be a list
  5 |     endpoint: https://m.example
    |               ^
    =     endpoint: ["https://m.example"]

F:7:3: warning: "m.example" is neither an endpoint nor a registry under mirrors; it is used only for images whose name begins with it
  7 |   m.example:
    |   ^

F:8:11: warning: auth must be a map: username and password, or auth with both in base64
  8 |     auth: [hidden]
    |           ^
    =     auth: { auth: "[hidden]" }

F:10:29: error: insecure_skip_verify must be true or false, without quotes
  10 |       insecure_skip_verify: "true"
     |                             ^
     =       insecure_skip_verify: true

F:11:17: error: "key_file" must be text
  11 |       key_file: [a]
     |                 ^

F:12:14: error: "n.example" must be a map: auth and tls
  12 |   n.example: 1
     |              ^

F:15:17: warning: "username" is not text without quotes
  15 |       username: [hidden]
     |                 ^
     =       username: "[hidden]"

F:16:17: error: "password" must be text
  16 |       password: {[hidden]: [hidden]}
     |                 ^
`,
  ],
  [
    'duplicate keys',
    'mirrors:\n  a.example:\n  a.example:\nconfigs:\n  a.example:\n    auth: {username: hunter2, password: hunter2, password: hunter2}\nmirrors: {}\n',
    `F:3:3: error: duplicate key, first in line 2; one of the two would be ignored
  3 |   a.example:
    |   ^

F:6:50: error: duplicate key, first in line 6; one of the two would be ignored
  6 |     auth: {username: [hidden], password: [hidden], password: [hidden]}
    |                                                    ^

F:7:1: error: duplicate key, first in line 1; one of the two would be ignored
  7 | mirrors: {}
    | ^
`,
  ],
];

describe('NodeReader', () => {
  for (const [problem, text, findings] of CASES) {
    it(`reports ${problem}`, () => {
      assertFindings(text, findings);
    });
  }

  function read(text: string): { reader: NodeReader; map: YAMLMap; entries: Entry[] } {
    const source = new SourceText(text);
    const { contents } = parseYaml(text);
    assert.ok(isMap(contents));
    const reader = new NodeReader(source);
    return { reader, map: contents, entries: reader.entries(contents, false) };
  }

  it('reads numbers and booleans as the text that is written', () => {
    const { reader, entries } = read('a: 0123\nb: yes\nc: "x"\nd: ~\n');
    assert.deepEqual(
      entries.map((entry) => reader.text(entry)),
      ['0123', 'yes', 'x', undefined],
    );
    // Only the number needs quotes: the parser reads YAML 1.2, in which `yes` is text.
    assert.deepEqual(
      reader.source.findings.map(({ line, severity }) => [line, severity]),
      [[1, 'warning']],
    );
  });

  it('reads the booleans of YAML 1.1', () => {
    const { reader, entries } = read('a: yes\nb: on\nc: Off\nd: n\ne: true\nf:\n');
    assert.deepEqual(
      entries.map((entry) => reader.boolean(entry)),
      [true, true, false, false, true, false],
    );
    assert.deepEqual(reader.source.findings, []);
  });

  it('leaves out keys that are not text', () => {
    const { reader, entries } = read('? [a]\n: x\n~: y\nb: z\n');
    assert.deepEqual(
      entries.map(({ key }) => key),
      ['b'],
    );
    assert.deepEqual(
      reader.source.findings.map(({ code }) => code),
      ['invalid-key', 'invalid-key'],
    );
  });
});
