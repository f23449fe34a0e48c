import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseUnit, serviceCommand, splitWords } from './systemd-unit.ts';

test('parseUnit reads a unit as systemd does', () => {
  const unit = parseUnit(`[Service]
; nothing
Environment=A=1 "B=two words"
Environment=C=100%%
EnvironmentFile=-/absent
EnvironmentFile=/present
ExecStart=/bin/a --b \\
  'c d'
`);
  const files: Record<string, string> = { '/present': '# of the host\nA=2\n\nD=x y\n' };
  assert.deepEqual(
    serviceCommand(unit, (path) => files[path]),
    { command: ['/bin/a', '--b', 'c d'], env: { A: '2', B: 'two words', C: '100%', D: 'x y' } },
  );
});

test('parseUnit drops the earlier values of a key at an empty one', () => {
  assert.deepEqual(parseUnit('[S]\nA=1\nA=\nA=2\n').get('S.A'), ['2']);
  assert.deepEqual(parseUnit('[S]\nA=\n').get('S.A'), ['']);
});

test('parseUnit and serviceCommand refuse syntax that they do not know', () => {
  for (const value of ['%i', '$HOME', 'a\\x20b']) assert.throws(() => splitWords(value), value);
  assert.throws(() => parseUnit('[S]\nno assignment\n'));
  assert.throws(() => serviceCommand(parseUnit('[Service]\nExecStart=a\n'), () => undefined));
  const file = '[Service]\nExecStart=/a\nEnvironmentFile=/absent\n';
  assert.throws(() => serviceCommand(parseUnit(file), () => undefined), /absent/);
});
