import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { renderLogLine } from './text-log.ts';

const command = (line: object): string => renderLogLine(`${JSON.stringify(line)}\n`, 'command');

describe('renderLogLine', () => {
  it('has the message and the fields of a command, and the level where it is not info', () => {
    assert.equal(
      command({ level: 'info', time: 'x', path: '/etc/a b', written: 2, msg: 'configured' }),
      'peerglass: configured path="/etc/a b" written=2\n',
    );
    assert.equal(
      command({ level: 'warn', list: ['a', 1], msg: 'odd' }),
      'peerglass: warning: odd list=["a",1]\n',
    );
    assert.equal(command({ level: 'error', msg: 'bad' }), 'peerglass: error: bad\n');
  });

  it('has time, level and component of a service', () => {
    const time = new Date(2026, 0, 2, 3, 4, 5, 6).toISOString();
    const line = { level: 'warn', time, component: 'mirror', key: 'r.example/a:1', msg: 'slow' };
    assert.equal(
      renderLogLine(JSON.stringify(line), 'service'),
      '03:04:05.006 WARN  mirror: slow key=r.example/a:1\n',
    );
  });

  it('shows an error as its message, and its stack below it where there is one', () => {
    const err = { type: 'Error', message: 'no such file', code: 'ENOENT' };
    assert.equal(command({ level: 'info', err, msg: 'a' }), 'peerglass: a err="no such file"\n');
    assert.equal(
      command({ level: 'info', err: { ...err, stack: 'Error: x\n    at f (a.ts:1)' }, msg: 'a' }),
      'peerglass: a err="no such file"\n    at f (a.ts:1)\n',
    );
  });

  it('lets no value move the cursor, add a line or reverse the text', () => {
    const evil = '\u001b[2J\n\u009b1A\u202e\u2028\u{e0001}';
    const text = command({ level: 'info', [evil]: evil, [`${evil}list`]: [evil], msg: evil });
    assert.doesNotMatch(text.trimEnd(), /[\p{Cc}\p{Cf}\u2028]/u);
    assert.match(text, /\\u001b\[2J/);
  });

  it('prints a line that is no JSON as it is', () => {
    assert.equal(renderLogLine('oops\n', 'command'), 'oops\n');
    assert.equal(renderLogLine('1\n', 'service'), '1\n');
  });
});
