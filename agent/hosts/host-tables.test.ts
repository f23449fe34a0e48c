import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { cutHosts, parsesAs, tablesOf } from './host-tables.ts';
import { parseHostsToml } from './hosts-toml.ts';

const TEXT = [
  'server = "https://s.example"',
  '',
  '# about a',
  '# more about a',
  '[host."https://a.example"]',
  'ca = "a.pem"',
  '[host."https://a.example".header]',
  'X = "y"',
  '',
  '[host."https://b.example"] # not above',
  '',
].join('\n');

describe('tablesOf', () => {
  it('finds each line that may begin a table, from the comments directly above it', () => {
    assert.deepEqual(
      tablesOf(TEXT).map(({ from }) => TEXT.slice(from).split('\n')[0]),
      ['# about a', '[host."https://a.example".header]', '[host."https://b.example"] # not above'],
    );
  });

  it('stops after 100 tables', () => {
    assert.equal(tablesOf('[a]\n'.repeat(1_000)).length, 100);
  });
});

describe('parsesAs', () => {
  it('compares what containerd reads, and is false for text that it rejects', () => {
    assert.equal(parsesAs(TEXT, parseHostsToml(TEXT)), true);
    assert.equal(parsesAs(`# comment\n${TEXT}`, parseHostsToml(TEXT)), true);
    assert.equal(parsesAs('', parseHostsToml(TEXT)), false);
    assert.equal(parsesAs('server = ', { hosts: [] }), false);
  });
});

describe('cutHosts', () => {
  it('cuts a host with its comments and headers, and leaves the rest as it is', () => {
    const file = parseHostsToml(TEXT);
    const [a] = file.hosts;
    assert.ok(a !== undefined);
    const cut = cutHosts(TEXT, file, [a]);
    const table = TEXT.slice(TEXT.indexOf('# about a'), TEXT.indexOf('[host."https://b'));
    assert.equal(cut?.tables.get(a), table);
    assert.equal(cut.rest, TEXT.replace(table, ''));
  });

  it('cuts several hosts at once', () => {
    const file = parseHostsToml(TEXT);
    const cut = cutHosts(TEXT, file, file.hosts.toReversed());
    assert.deepEqual(parseHostsToml(cut?.rest ?? ''), { ...file, hosts: [] });
    assert.equal(cut?.tables.size, 2);
  });

  it('cuts nothing if a host is not written as a table of its own', () => {
    const text = '[host]\n"https://a.example" = {}\n';
    const file = parseHostsToml(text);
    assert.equal(cutHosts(text, file, file.hosts), undefined);
  });
});
