import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { Routes } from './routes.ts';

const routes = new Routes([
  { methods: ['GET', 'HEAD'], pattern: '/things/<name...>/parts/<id>', handler: 'part' },
  { methods: ['POST'], pattern: '/things/<name...>/parts/<id>', handler: 'change' },
  { methods: ['GET'], pattern: '/a.b', handler: 'dot' },
]);

function find(method: string, target: string): unknown {
  const match = routes.match(method, target);
  if (match.kind !== 'found') return match;
  return { handler: match.handler, ...match.params, query: match.query.toString() };
}

describe('Routes', () => {
  it('finds a handler by method and path, with its parameters and the query', () => {
    assert.deepEqual(find('HEAD', '/things/a/b/parts/7?x=1&y=%20'), {
      ...{ handler: 'part', name: 'a/b', id: '7' },
      query: 'x=1&y=+',
    });
    assert.deepEqual(find('POST', '/things/a/parts/7'), {
      ...{ handler: 'change', name: 'a', id: '7' },
      query: '',
    });
  });

  it('leaves parameters percent-encoded', () => {
    assert.deepEqual(find('GET', '/things/a%2Fb/parts/%37'), {
      ...{ handler: 'part', name: 'a%2Fb', id: '%37' },
      query: '',
    });
  });

  it('takes the absolute form of a target, and refuses what is no path', () => {
    assert.deepEqual(find('GET', 'http://host:1/a.b'), { handler: 'dot', query: '' });
    for (const target of ['*', 'a.b', 'ftp://host/a.b', '']) {
      assert.deepEqual(find('GET', target), { kind: 'bad-target' }, target);
    }
  });

  it('takes a pattern literally outside of its parameters', () => {
    for (const target of ['/axb', '/a.b/', '/x/a.b', '/things/a/parts/', '/things//parts']) {
      assert.deepEqual(find('GET', target), { kind: 'not-found' }, target);
    }
  });

  it('names the methods of the path, and those of all routes for a method that no route has', () => {
    const notAllowed = (allow: string): unknown => ({ kind: 'method-not-allowed', allow });
    assert.deepEqual(find('POST', '/a.b'), notAllowed('GET'));
    assert.deepEqual(find('PUT', '/nowhere'), notAllowed('GET, HEAD, POST'));
    assert.deepEqual(find('PUT', '*'), notAllowed('GET, HEAD, POST'));
  });

  it('never throws, whatever the target', () => {
    fc.assert(
      fc.property(fc.string(), (target) => {
        routes.match('GET', target);
      }),
    );
  });
});
