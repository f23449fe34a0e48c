import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { withHint } from './hint.ts';

const unknown = (flag: string, subcommand = 'registry'): string =>
  withHint(`error: unknown option '--${flag}'`, subcommand);

describe('withHint', () => {
  it("hints at this program's name of an option of Spegel's next version", () => {
    assert.equal(
      unknown('http-bootstrap-url'),
      "unknown option '--http-bootstrap-url' (it is --http-bootstrap-peer here)",
    );
  });

  for (const [flag, near] of [
    ['log', 'log-level'],
    ['static-peers', 'static-bootstrap-peers'],
    ['peers-static', 'static-bootstrap-peers'],
    ['containerd-socket-path', 'containerd-sock'],
    ['containerd-contents-path', 'containerd-content-path'],
    ['registry-filter=x', 'registry-filters'],
  ] as const) {
    it(`hints at the nearest option: ${flag}`, () => {
      assert.match(unknown(flag), new RegExp(`\\(Did you mean --${near}\\?\\)$`));
    });
  }

  it('names the subcommand that has the option', () => {
    assert.match(unknown('probe-endpoint', 'version'), /it is an option of peerglass cleanup-wait/);
  });

  it('keeps the hint of the parser, other messages, and an option like no other', () => {
    assert.equal(
      withHint("error: unknown option '--a'\n(Did you mean --b?)", 'registry'),
      "unknown option '--a' (Did you mean --b?)",
    );
    assert.equal(withHint('error: too many arguments', 'registry'), 'too many arguments');
    assert.equal(unknown('qqqqqq'), "unknown option '--qqqqqq'");
    assert.equal(unknown('constructor', 'constructor'), "unknown option '--constructor'");
    assert.equal(unknown(`x${'a'.repeat(100)}`).includes('mean'), false);
  });
});
