import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseRegistries } from './parse-registries.ts';

/** Code, line and correction of each finding. */
function findingsOf(text: string): [string, number, string?][] {
  return parseRegistries(text).findings.map(({ code, line, correction }) =>
    correction === undefined ? [code, line] : [code, line, correction.trim()],
  );
}

describe('compareSections', () => {
  it('accepts settings for endpoints, for registries, for Docker Hub and for all', () => {
    const text = [
      'mirrors: {docker.io: , a.example: {endpoint: [https://m.example:5000]}}',
      'configs:',
      ...['docker.io', 'registry-1.docker.io', 'a.example', 'm.example:5000', '"*"'].map(
        (host) => `  ${host}: {tls: {insecure_skip_verify: true}}`,
      ),
    ].join('\n');
    assert.deepEqual(findingsOf(text), []);
  });

  it('suggests the host that differs only in its port, or by a typing error', () => {
    const text =
      'mirrors: {a.example: {endpoint: [https://10.0.0.5:5000, https://mirror.example]}}\nconfigs:\n  10.0.0.5: {}\n  miror.example: {}\n  other.example: {}\n';
    assert.deepEqual(findingsOf(text), [
      ['unused-config', 3, '"10.0.0.5:5000": {}'],
      ['unused-config', 4, '"mirror.example": {}'],
      ['unused-config', 5],
    ]);
  });

  it('reports TLS settings for an http endpoint, but not for an https one', () => {
    const config = 'configs: {m.example: {tls: {insecure_skip_verify: true}}}';
    const text = (scheme: string): string =>
      `mirrors: {a.example: {endpoint: ["${scheme}://m.example"]}}\n${config}\n`;
    assert.deepEqual(findingsOf(text('https')), []);
    assert.deepEqual(findingsOf(text('http')), [
      ['tls-on-http', 1, text('https').split('\n')[0] ?? ''],
    ]);
  });
});
