import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertFindings } from '../../testing/registry-findings.ts';
import { parseRegistries } from './parse-registries.ts';
import type { HostConfig } from './registries.ts';

const CASES: readonly (readonly [problem: string, text: string, findings: string])[] = [
  [
    'settings one level too high, incomplete pairs, and TLS settings for http',
    'mirrors:\n  m.example:\n    endpoint: ["http://n.example:5000"]\nconfigs:\n  n.example:5000:\n    insecure_skip_verify: true\n    password: hunter2\n    auth:\n      password: hunter2\n    tls: {}\n  m.example:\n    auth:\n      auth: hunter2\n',
    `F:3:16: warning: the endpoint is http, but line 5 has tls settings for it: containerd would try https first; write https, or remove tls: there
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
];

describe('readConfigs', () => {
  for (const [problem, text, findings] of CASES) {
    it(`reports ${problem}`, () => {
      assertFindings(text, findings);
    });
  }

  const configOf = (settings: string): HostConfig | undefined =>
    parseRegistries(`configs: {m.example: ${settings}}`).registries.configs.get('m.example');
  const codesOf = (settings: string): string[] =>
    parseRegistries(`mirrors: {m.example: }\nconfigs: {m.example: ${settings}}`).findings.map(
      ({ code }) => code,
    );

  it('reads credentials as secrets, and paths as they are written', () => {
    const config = configOf('{auth: {username: u, password: "p"}, tls: {ca_file: ca.crt}}');
    assert.equal(config?.auth?.username?.reveal(), 'u');
    assert.equal(config.auth.password?.reveal(), 'p');
    assert.deepEqual(config.tls, { caFile: 'ca.crt', insecureSkipVerify: false });
  });

  it('accepts base64 of user and password as auth, and reports anything else', () => {
    const basic = Buffer.from('u:p').toString('base64');
    assert.deepEqual(codesOf(`{auth: {auth: ${basic}}}`), []);
    assert.deepEqual(codesOf(`{auth: {auth: ${Buffer.from('up').toString('base64')}}}`), [
      'bad-auth',
    ]);
    assert.deepEqual(codesOf('{auth: {auth: "u:p"}}'), ['bad-auth']);
  });

  it('reports half of a pair once, also if the other half is misspelt', () => {
    assert.deepEqual(codesOf('{tls: {cert_file: /c}}'), ['incomplete-client']);
    assert.deepEqual(codesOf('{tls: {cert_file: /c, keyfile: /k}}'), ['unknown-key']);
    assert.deepEqual(codesOf('{auth: {username: u, passwrod: p}}'), ['unknown-key']);
  });
});
