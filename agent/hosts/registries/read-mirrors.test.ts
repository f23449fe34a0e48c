import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertFindings } from '../../testing/registry-findings.ts';
import { parseRegistries } from './parse-registries.ts';

const CASES: readonly (readonly [problem: string, text: string, findings: string])[] = [
  [
    'invalid endpoints',
    'mirrors:\n  docker.io:\n    endpoint:\n      - 10.0.0.5:5000\n      - localhost:5000\n      - htp://a.example\n      - https://u:hunter2@b.example/v2?t=hunter2\n      - https://c.example/proxy\n      - 5000\n      - https://d.example\n      - https://d.example/v2\n      - "https://["\n',
    `F:4:9: error: the endpoint has no scheme, http:// or https://; k3s assumes https
  4 |       - 10.0.0.5:5000
    |         ^
    =       - "https://10.0.0.5:5000"

F:5:9: error: the endpoint has no scheme, http:// or https://; k3s assumes http
  5 |       - localhost:5000
    |         ^
    =       - "http://localhost:5000"

F:6:9: error: the scheme of an endpoint must be http:// or https://
  6 |       - htp://a.example
    |         ^
    =       - "http://a.example"

F:7:9: error: an endpoint has no user and password; write them under configs, as auth
  7 |       - https://[hidden]@b.example/v2?[hidden]
    |         ^
    =       - "https://b.example/v2"

F:7:9: error: an endpoint has no query and no fragment
  7 |       - https://[hidden]@b.example/v2?[hidden]
    |         ^
    =       - "https://b.example/v2"

F:8:9: warning: k3s uses this path instead of /v2; most registries need /v2 at its start
  8 |       - https://c.example/proxy
    |         ^
    =       - "https://c.example/v2/proxy"

F:9:9: error: an endpoint must be text: http://HOST:PORT or https://HOST
  9 |       - 5000
    |         ^

F:11:9: warning: "https://d.example" is already in this list; k3s ignores it
  11 |       - https://d.example/v2
     |         ^

F:12:9: error: not a URL; an endpoint is written http://HOST:PORT or https://HOST
  12 |       - "[hidden]"
     |         ^
`,
  ],
  [
    'registries and hosts that k3s takes and never uses, and settings of unknown hosts',
    'mirrors:\n  https://docker.io:\n  quay.io/team:\n  "*.example":\n  index.docker.io:\n  docker:\n  "": {}\n  m.example:\n    endpoint: [https://10.0.0.5:5000, http://my_mirror:5000]\n  my_gcr:\nconfigs:\n  https://10.0.0.5:5000: {}\n  10.0.0.5: {}\n  other.example:5000: {}\n  my_mirror:5000: {}\n',
    `F:2:3: warning: k3s never uses this: a registry is written HOST or HOST:PORT, as in image names, without scheme
  2 |   https://docker.io:
    |   ^
    =   "docker.io":

F:3:3: warning: k3s never uses this: a registry is written HOST or HOST:PORT, as in image names, without path
  3 |   quay.io/team:
    |   ^
    =   "quay.io":

F:4:3: warning: no image name begins with this, so k3s never uses it; there are no patterns but "*", for all registries
  4 |   [hidden]:
    |   ^

F:5:3: warning: image names have docker.io, so k3s never uses this entry
  5 |   index.docker.io:
    |   ^
    =   docker.io:

F:6:3: warning: no image name begins with this: a registry has a dot, a port, or is localhost
  6 |   docker:
    |   ^

F:7:3: error: a key must be text
  7 |   [hidden]: {}
    |   ^

F:10:3: warning: no image name begins with this, so k3s never uses it; a registry is written HOST or HOST:PORT
  10 |   my_gcr:
     |   ^

F:12:3: warning: k3s never uses this: a registry is written HOST or HOST:PORT, as in image names, without scheme
  12 |   https://10.0.0.5:5000: {}
     |   ^
     =   "10.0.0.5:5000": {}

F:13:3: warning: "10.0.0.5" is neither an endpoint nor a registry under mirrors; did you mean 10.0.0.5:5000?
  13 |   10.0.0.5: {}
     |   ^
     =   "10.0.0.5:5000": {}

F:14:3: warning: "other.example:5000" is neither an endpoint nor a registry under mirrors; it is used only for images whose name begins with it
  14 |   other.example:5000: {}
     |   ^
`,
  ],
  [
    'invalid patterns and replacements of rewrites',
    'mirrors:\n  m.example:\n    rewrite:\n      "^a(": "b"\n      "(?=x)": "b"\n      "(.*)": \'x/\\1\'\n      "^(?P<n>.*)$": "$1_old"\n      "^c": 5\n',
    `F:4:7: error: bad regular expression: Unterminated group
  4 |       "^a(": "b"
    |       ^

F:5:7: error: bad regular expression: RE2, which k3s uses, has no look-ahead and no look-behind
  5 |       "(?=x)": "b"
    |       ^

F:6:15: warning: groups are written $1, or \${1} before a letter, digit or underscore
  6 |       "(.*)": 'x/\\1'
    |               ^
    =       "(.*)": "x/$1"

F:7:22: warning: groups are written $1, or \${1} before a letter, digit or underscore
  7 |       "^(?P<n>.*)$": "$1_old"
    |                      ^
    =       "^(?P<n>.*)$": "\${1}_old"

F:8:13: warning: this is not text without quotes
  8 |       "^c": 5
    |             ^
    =       "^c": "5"
`,
  ],
];

describe('readMirrors', () => {
  for (const [problem, text, findings] of CASES) {
    it(`reports ${problem}`, () => {
      assertFindings(text, findings);
    });
  }

  it('keeps the registries that can be read, and the endpoints of each in their order', () => {
    const text =
      'mirrors:\n  quay.io: {endpoint: [https://b.example, 5, https://a.example]}\n  "": {}\n';
    const { mirrors } = parseRegistries(text).registries;
    assert.deepEqual([...mirrors.keys()], ['quay.io']);
    assert.deepEqual(
      mirrors.get('quay.io')?.endpoints.map(({ url }) => url),
      ['https://b.example', 'https://a.example'],
    );
  });

  it('reads at most 100 endpoints of a registry', () => {
    const endpoints = Array.from({ length: 101 }, (_, index) => `https://m${index}.example`);
    const { registries, findings } = parseRegistries(
      `mirrors: {a.example: {endpoint: [${endpoints.join(', ')}]}}`,
    );
    assert.equal(registries.mirrors.get('a.example')?.endpoints.length, 100);
    assert.deepEqual(
      findings.map(({ code }) => code),
      ['too-many'],
    );
  });
});
