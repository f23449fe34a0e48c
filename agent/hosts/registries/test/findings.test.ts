import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { checkFiles } from '../check-files.ts';
import { parseRegistries } from '../parse-registries.ts';
import { renderFindings } from '../render-findings.ts';

/** What is written, and what is said of it, to the letter. */
const CASES: readonly (readonly [name: string, text: string, says: string])[] = [
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
    'endpoint at the level of the registry',
    'mirrors:\n  docker.io:\n  endpoint:\n    - "http://10.0.0.5:5000"\n',
    `F:3:3: error: wrong indentation: endpoint belongs under its registry, further to the right
  3 |   endpoint:
    |   ^
    =     endpoint:
`,
  ],
  [
    'a registry at the level of mirrors, and what is under it',
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
    'items to the left of their key, in a file that steps by four',
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
    'tabs',
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
    'no space after a colon or a dash, and a quote that is open',
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
  [
    'keys that k3s does not know, each with the nearest',
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
    'endpoints that are none',
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
    'registries and hosts that are none, and settings that reach nobody',
    'mirrors:\n  https://docker.io:\n  quay.io/team:\n  "*.example":\n  index.docker.io:\n  docker:\n  "": {}\n  m.example:\n    endpoint: [https://10.0.0.5:5000]\nconfigs:\n  https://10.0.0.5:5000: {}\n  10.0.0.5: {}\n  other.example:5000: {}\n',
    `F:2:3: error: a registry is written HOST or HOST:PORT, as in image names, without scheme
  2 |   https://docker.io:
    |   ^
    =   "docker.io":

F:3:3: error: a registry is written HOST or HOST:PORT, as in image names, without path
  3 |   quay.io/team:
    |   ^
    =   "quay.io":

F:4:3: error: all registries are written "*"; there are no other patterns
  4 |   [hidden]:
    |   ^
    =   "*":

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

F:11:3: error: a registry is written HOST or HOST:PORT, as in image names, without scheme
  11 |   https://10.0.0.5:5000: {}
     |   ^
     =   "10.0.0.5:5000": {}

F:12:3: warning: "10.0.0.5" is neither an endpoint nor a registry under mirrors; did you mean 10.0.0.5:5000?
  12 |   10.0.0.5: {}
     |   ^
     =   "10.0.0.5:5000": {}

F:13:3: warning: "other.example:5000" is neither an endpoint nor a registry under mirrors; it is used only for images whose name begins with it
  13 |   other.example:5000: {}
     |   ^
`,
  ],
  [
    'rewrites',
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
    'settings one level too high, halves of pairs, and TLS where there is none',
    'mirrors:\n  m.example:\n    endpoint: ["http://n.example:5000"]\nconfigs:\n  n.example:5000:\n    insecure_skip_verify: true\n    password: hunter2\n    auth:\n      password: hunter2\n    tls: {}\n  m.example:\n    auth:\n      auth: hunter2\n',
    `F:3:16: warning: the endpoint is http, but line 5 has tls settings for it: containerd would try https first
  3 |     endpoint: ["http://n.example:5000"]
    |                ^
    =     endpoint: ["https://n.example:5000"]

F:6:5: error: insecure_skip_verify belongs under tls; k3s ignores it here
  6 |     insecure_skip_verify: true
    |     ^
    =     tls: { insecure_skip_verify: true }

F:7:5: error: password belongs under auth; k3s ignores it here
  7 |     password: [hidden]
    |     ^
    =     auth: { password: [hidden] }

F:9:7: error: password without username: both are needed
  9 |       password: [hidden]
    |       ^

F:13:13: error: auth must be the base64 of username:password
  13 |       auth: [hidden]
     |             ^
`,
  ],
  [
    'anchors, aliases and merges',
    'mirrors:\n  a.example: &all\n    endpoint: [https://m.example]\n  b.example: *all\n  c.example:\n    <<: *all\n',
    `F:2:14: error: an anchor is not allowed here; write the value itself, in double quotes if it is text
  2 |   a.example: [hidden]
    |              ^

F:4:14: error: an alias is not allowed here; write the value itself, in double quotes if it is text
  4 |   b.example: [hidden]
    |              ^

F:6:9: error: an alias is not allowed here; write the value itself, in double quotes if it is text
  6 |     <<: [hidden]
    |         ^
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
  ['an empty file', '', 'F:1:1: error: the file is empty: it names no registry\n'],
  ['comments only', '# hunter2\n', 'F:1:1: error: the file is empty: it names no registry\n'],
  [
    'a list',
    '- docker.io\n',
    `F:1:1: error: the file must be a map with mirrors: and configs:
  1 | - docker.io
    | ^
`,
  ],
  [
    'two documents',
    'mirrors: {}\n---\nmirrors: {}\n',
    `F:2:1: error: a second document begins here; k3s reads only the first
  2 | ---
    | ^
`,
  ],
];

describe('what is wrong with a registries.yaml', () => {
  for (const [name, text, says] of CASES) {
    it(name, () => {
      assert.equal(renderFindings('F', parseRegistries(text).findings), says);
    });
    it(`${name}, with the line ends of Windows`, () => {
      const { findings } = parseRegistries(text.replaceAll('\n', '\r\n'));
      assert.equal(renderFindings('F', findings), says);
    });
  }

  it('the corrected lines are right: with all of them in place there is no error left', () => {
    for (const [name, text] of CASES.slice(0, 7)) {
      const lines = text.split('\n');
      for (const { line, correction } of parseRegistries(text).findings) {
        if (correction !== undefined) lines[line - 1] = correction;
      }
      assert.deepEqual(
        parseRegistries(lines.join('\n').replace('[hidden]', 'x')).findings,
        [],
        name,
      );
    }
  });

  describe('with files', () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'peerglass-registries-'));
      writeFileSync(join(folder, 'ca.crt'), 'x');
      writeFileSync(join(folder, 'empty.key'), '');
    });
    after(() => {
      rmSync(folder, { recursive: true });
    });

    it('says which are missing or unfit, and what may have been meant', () => {
      const text = [
        'mirrors: {m.example: , n.example: , o.example: }',
        'configs:',
        '  m.example:',
        '    tls:',
        `      ca_file: ${folder}/ca.cert`,
        `      cert_file: ${folder}`,
        `      key_file: ${folder}/empty.key`,
        '  n.example:',
        '    tls:',
        '      ca_file: ca.crt',
        '  o.example: {tls: {ca_file: /nowhere/ca.crt}}',
        '  m.example:5000:',
        '    tls:',
        '      ca_file: /nowhere/ca.crt',
        '',
      ].join('\n');
      const { findings } = parseRegistries(text, checkFiles);
      const told = renderFindings(
        'F',
        findings.filter(({ severity }) => severity === 'error'),
      );
      assert.equal(
        told,
        `F:5:16: error: the CA file does not exist
  5 |       ca_file: ${folder}/ca.cert
    |                ^
    =       ca_file: "${folder}/ca.crt"

F:6:18: error: the certificate file is not a regular file
  6 |       cert_file: ${folder}
    |                  ^
    =       # cert_file: ${folder}

F:7:17: error: the key file is empty
  7 |       key_file: ${folder}/empty.key
    |                 ^
    =       # key_file: ${folder}/empty.key

F:10:16: error: the CA file needs an absolute path: containerd looks for a relative one below its certs.d
  10 |       ca_file: ca.crt
     |                ^

F:11:30: error: the CA file does not exist
  11 |   o.example: {tls: {ca_file: /nowhere/ca.crt}}
     |                              ^

F:14:16: error: the CA file does not exist
  14 |       ca_file: /nowhere/ca.crt
     |                ^
     =       # ca_file: /nowhere/ca.crt
`,
      );
    });
  });
});
