import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '..');
const files = globSync('agent/**/*.ts', { cwd: root }).filter(
  (file) => !/\.(test|e2e)\.ts$/.test(file) && !file.startsWith('agent/testing/'),
);

/** Files that export functions or classes and have no test of their name, each with the reason. */
const EXEMPT: Readonly<Record<string, string>> = {
  'agent/app/stages/inventory.ts': 'composition only; agent.test.ts starts it',
  'agent/app/version.ts': 'a constant of the build; program.test.ts prints it',
  'agent/content/content-source.ts': 'the types of a port, and an error without behaviour',
  'agent/routing/questions/question-handler.ts':
    'the types of a port, and an error without behaviour',
  'agent/routing/bootstrap/bootstrapper.ts': 'the types of a port, and an error without behaviour',
  'agent/store/content-store.ts':
    'the types of a port, and an error without behaviour; testing/conformance has its contract',
  'agent/store/file-state.ts': 'picks four fields of a stat',
  'agent/basic-auth/basic-auth-error.ts': 'an error without behaviour',
  'agent/membership/swarm-key-error.ts': 'an error without behaviour',
  'agent/routing/node/not-there-error.ts': 'an error without behaviour',
  'agent/upstream/auth/authorizer.ts':
    'each of its ways needs a registry and a token server; upstream/test/tokens.test.ts has them',
  'agent/upstream/auth/token-client.ts':
    'needs a token server; upstream/test/tokens.test.ts has one',
  'agent/upstream/client/blob-answer.ts':
    'checks what registries answer; upstream/test/faults.test.ts has one that answers wrongly',
  'agent/upstream/client/blob-windows.ts':
    'needs a registry that throttles; widened-blob.test.ts has one',
  'agent/upstream/client/manifest-answer.ts':
    'checks what registries answer; upstream/test/faults.test.ts has one that answers wrongly',
  'agent/upstream/unsized-content.ts':
    'needs a registry that states no length; upstream/test/unsized.test.ts has one',
  'agent/upstream/create-upstream.ts': 'composition only; all suites of upstream/ make one',
  'agent/streams/wrong-body-error.ts': 'an error without behaviour',
  'agent/tls/tls-config-error.ts': 'an error without behaviour',
  'agent/transfer/hashed-body.ts':
    'both of its ways need peers; test/whole-blob.test.ts and test/behaving-liar.test.ts take them',
  'agent/transfer/verify/hashing-program.ts':
    'runs in a thread only; hashing-thread.test.ts and threaded-hash.test.ts start it',
  'agent/transfer/select/shared-state.ts':
    'composition only; the tests of PeerAttempts and of the transfer use it',
};

describe('each file of agent/ has its tests where they are looked for', () => {
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    if (!/^export (?:async )?(?:function|class|abstract class)\b/m.test(text)) continue;
    const stem = file.slice(0, -'.ts'.length);
    const tested =
      existsSync(join(root, `${stem}.test.ts`)) || existsSync(join(root, `${stem}.e2e.ts`));
    it(`${file} has a test of its name, or a reason why not`, () => {
      if (file in EXEMPT) assert.ok(!tested, `${file} has a test: take it off the list`);
      else assert.ok(tested, `write ${stem}.test.ts`);
    });
  }

  it('has no exemption for a file that does not exist', () => {
    const unknown = Object.keys(EXEMPT).filter((file) => !files.includes(file));
    assert.deepEqual(unknown, []);
  });

  it('keeps suites that belong to no file in folders named test', () => {
    const stray = globSync('agent/**/*.test.ts', { cwd: root }).filter((test) => {
      const subject = test.replace(/\.test\.ts$/, '.ts');
      return !existsSync(join(root, subject)) && basename(join(test, '..')) !== 'test';
    });
    assert.deepEqual(stray, []);
  });
});
