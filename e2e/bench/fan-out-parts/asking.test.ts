import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ASKED, contentsOf, questionAt } from './asking.ts';
import { parsePartsOptions } from './options.ts';

const PEERS = 4;
const QUESTIONS = 1000;

describe('the questions of the bench', () => {
  for (const asked of ASKED) {
    it(`are about contents that there are, of peers in turn: ${asked}`, () => {
      const contents = contentsOf(asked, QUESTIONS, PEERS);
      for (let index = 0; index < QUESTIONS; index++) {
        const { peer, content } = questionAt(asked, index, PEERS);
        assert.equal(peer, index % PEERS);
        assert.ok(content < contents);
      }
    });
  }

  it('are about one content of each, or the same for all peers', () => {
    const contents = (asked: (typeof ASKED)[number]): number[] =>
      Array.from({ length: 8 }, (_, index) => questionAt(asked, index, PEERS).content);
    assert.deepEqual(contents('distinct'), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(contents('shared'), [0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it('of a peer about a content are followed by its reports, one after the other', () => {
    const said = new Map<string, string[]>();
    for (let index = 0; index < QUESTIONS; index++) {
      const { peer, content, state } = questionAt('reports', index, PEERS);
      const key = `${peer} ${content}`;
      said.set(key, [...(said.get(key) ?? []), state]);
    }
    const first = ['wants', 'following', 'following', 'following', 'held'];
    assert.deepEqual(said.get('0 0'), first);
    for (const states of said.values()) assert.deepEqual(states, first.slice(0, states.length));
  });
});

describe('the options of the bench of the parts', () => {
  it('reads figures and links, and refuses others', () => {
    const options = parsePartsOptions(['--only', 'hops', '--links', '100/50,50/50']);
    assert.deepEqual(options.figures, ['hops']);
    assert.deepEqual(options.links[0], { node: 100, upstream: 50 });
    for (const words of [
      ['--only', 'all'],
      ['--links', '50'],
      ['--rate', '0'],
      ['--suite', 'sid'],
    ]) {
      assert.throws(() => parsePartsOptions(words), Error);
    }
  });
});
