import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { readEndpoint } from './endpoint.ts';

/** The URL, the host, and the codes of the problems. */
function read(text: string): [string | undefined, string | undefined, ...string[]] {
  const { endpoint, problems } = readEndpoint(text);
  return [endpoint?.url, endpoint?.host, ...problems.map(({ code }) => code)];
}

describe('readEndpoint', () => {
  it('reads host and port, and drops /v2, which containerd adds itself', () => {
    for (const path of ['', '/', '/v2', '/v2/']) {
      assert.deepEqual(read(`https://M.example:5000${path}`), [
        'https://m.example:5000',
        'm.example:5000',
      ]);
    }
  });

  it('keeps another path, and warns if /v2 is not in it', () => {
    const { endpoint, problems } = readEndpoint('https://m.example/v2/proxy');
    assert.equal(endpoint?.url, 'https://m.example/v2/proxy');
    assert.equal(endpoint.overridesPath, true);
    assert.deepEqual(problems, []);
    const [problem] = readEndpoint('https://m.example/proxy').problems;
    assert.equal(problem?.severity, 'warning');
    assert.equal(problem.corrected, 'https://m.example/v2/proxy');
  });

  it('assumes https without a scheme, and http for a port of the node itself', () => {
    assert.deepEqual(read('m.example:80'), ['https://m.example:80', 'm.example:80', 'no-scheme']);
    assert.deepEqual(read('127.0.0.1:5000'), [
      'http://127.0.0.1:5000',
      '127.0.0.1:5000',
      'no-scheme',
    ]);
    assert.deepEqual(read('localhost:443'), [
      'https://localhost:443',
      'localhost:443',
      'no-scheme',
    ]);
  });

  it('uses the real host of Docker Hub, with the settings of docker.io', () => {
    assert.deepEqual(read('https://docker.io'), ['https://registry-1.docker.io', 'docker.io']);
    assert.deepEqual(read('https://registry-1.docker.io'), [
      'https://registry-1.docker.io',
      'docker.io',
    ]);
  });

  it('removes credentials and query from its correction', () => {
    const { problems } = readEndpoint('https://u:p@m.example?t=1');
    assert.deepEqual(
      problems.map(({ corrected }) => corrected),
      ['https://m.example', 'https://m.example'],
    );
  });

  it('returns an endpoint or a problem for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { endpoint, problems } = readEndpoint(text);
        assert.ok(endpoint !== undefined || problems.length > 0);
      }),
    );
    assert.deepEqual(read(`https://${'m'.repeat(1_024)}`), [
      undefined,
      undefined,
      'invalid-endpoint',
    ]);
  });
});
