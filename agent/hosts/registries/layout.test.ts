import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertFindings } from '../../testing/registry-findings.ts';
import { repairLayout } from './layout.ts';
import { correctedText, parseRegistries } from './parse-registries.ts';
import { configOf } from './registries.ts';
import { SourceText } from './source-text.ts';

const CASES: readonly (readonly [problem: string, text: string, findings: string])[] = [
  [
    'an unquoted star',
    'mirrors:\n  *:\n    endpoint:\n      - "http://10.0.0.5:5000"\n',
    `F:2:3: error: the star needs quotes: YAML reads it as an alias
  2 |   *:
    |   ^
    =   "*":
`,
  ],
  [
    'an endpoint at the level of its registry',
    'mirrors:\n  docker.io:\n  endpoint:\n    - "http://10.0.0.5:5000"\n',
    `F:3:3: error: wrong indentation: endpoint belongs under its registry, further to the right
  3 |   endpoint:
    |   ^
    =     endpoint:
`,
  ],
  [
    'a registry at the level of mirrors, and the lines below it',
    'mirrors:\ndocker.io:\n  endpoint:\n  - https://m.example\n',
    `F:2:1: error: wrong indentation: a registry belongs under mirrors, further to the right
  2 | docker.io:
    | ^
    =   docker.io:

F:3:3: error: wrong indentation: endpoint belongs under its registry, further to the right
  3 |   endpoint:
    |   ^
    =     endpoint:

F:4:3: error: wrong indentation: an endpoint belongs under endpoint
  4 |   - https://m.example
    |   ^
    =       - https://m.example
`,
  ],
  [
    'items to the left of their key, in a file with steps of four columns',
    'mirrors:\n    docker.io:\n        endpoint:\n    - https://m.example\n',
    `F:4:5: error: wrong indentation: an endpoint belongs under endpoint
  4 |     - https://m.example
    |     ^
    =             - https://m.example
`,
  ],
  [
    'auth to the left of tls',
    'configs:\n  r.example:\n    tls:\n      insecure_skip_verify: true\n   auth:\n      identity_token: hunter2\nmirrors:\n  r.example:\n',
    `F:5:4: error: wrong indentation: auth belongs under its registry, further to the right
  5 |    auth:
    |    ^
    =     auth:
`,
  ],
  [
    'tabs in the indentation',
    'mirrors:\n\tdocker.io:\n\t\tendpoint: ["http://10.0.0.5:5000"]\n',
    `F:2:1: error: a tab in the indentation, which YAML does not allow
  2 | \tdocker.io:
    | ^
    =   docker.io:

F:3:1: error: a tab in the indentation, which YAML does not allow
  3 | \t\tendpoint: ["http://10.0.0.5:5000"]
    | ^
    =     endpoint: ["http://10.0.0.5:5000"]
`,
  ],
  [
    'missing spaces after a colon or a dash, and an open quote',
    'mirrors:\n  docker.io:\n    endpoint:\n      -https://m.example\n  ghcr.io:\n    endpoint:http://n.example\n  quay.io:\n    endpoint:\n      - "https://q.example\n',
    `F:4:8: error: a space belongs after the dash
  4 |       -https://m.example
    |        ^
    =       - https://m.example

F:6:14: error: a space belongs after the colon
  6 |     endpoint:http://n.example
    |              ^
    =     endpoint: http://n.example

F:6:14: error: endpoint must be a list
  6 |     endpoint:http://n.example
    |              ^
    =     endpoint: ["http://n.example"]

F:9:9: error: this quote is not closed
  9 |       - "https://q.example
    |         ^
    =       - "https://q.example"
`,
  ],
];

/** A file whose indentation a website lost, with a misspelt key. */
const FLAT = [
  'a file without any indentation',
  `mirrors:
# the cluster's own registry first
"docker.io":
endpoint:
- "https://10.0.0.5:30500"
"ghcr.io":
endpoint:
- "https://10.0.0.5:30500"
configs:
"10.0.0.5:30500":
auth:
username: someone
passwrod: hunter2
tls:
# its certificate is its own
insecureskipverify: true
`,
] as const;

describe('repairLayout', () => {
  for (const [problem, text, findings] of CASES) {
    it(`reports ${problem}`, () => {
      assertFindings(text, findings);
    });
  }

  it('suggests lines that leave no finding when all of them are used', () => {
    for (const [problem, text] of [...CASES, FLAT]) {
      const lines = text.split('\n');
      for (const { line, correction } of parseRegistries(text).findings) {
        if (correction !== undefined) lines[line - 1] = correction;
      }
      const corrected = lines.join('\n').replaceAll('[hidden]', 'x');
      assert.deepEqual(parseRegistries(corrected).findings, [], problem);
    }
  });

  it('reads a file without any indentation as it was meant', () => {
    const { registries } = parseRegistries(FLAT[1]);
    assert.deepEqual([...registries.mirrors.keys()], ['docker.io', 'ghcr.io']);
    assert.equal(registries.mirrors.get('ghcr.io')?.endpoints.length, 1);
    const config = configOf(
      parseRegistries(correctedText(FLAT[1]).text).registries,
      '10.0.0.5:30500',
    );
    assert.equal(config.tls?.insecureSkipVerify, true);
    assert.equal(config.auth?.password?.reveal(), 'hunter2');
  });

  it('leaves a file with a correct layout as it is', () => {
    const text =
      'mirrors:\n    "*":\n    a.example:\n        endpoint:\n        - https://m.example\n        rewrite:\n            a.b: c\n';
    const source = new SourceText(text);
    assert.equal(repairLayout(source), text);
    assert.deepEqual(source.findings, []);
  });

  it('does not move a registry whose name resembles a key', () => {
    const text = 'mirrors:\n  mirror1:\n    endpoint: []\n  tls1: {}\n  auth2:\n';
    assert.equal(repairLayout(new SourceText(text)), text);
  });

  it('does not move an unknown key under auth, which may be a credential', () => {
    const text = 'configs:\n  a.example:\n    auth:\n        hunter2.x: y\n';
    assert.equal(repairLayout(new SourceText(text)), text);
  });
});
