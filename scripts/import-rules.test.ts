import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { ESLint } from 'eslint';

const root = join(import.meta.dirname, '..');

/** Messages of the linter about the imports of a file that begins with this line. */
async function messagesOf(file: string, line: string): Promise<string[]> {
  const eslint = new ESLint({
    cwd: root,
    overrideConfigFile: join(root, '.config/eslint.config.js'),
  });
  const [result] = await eslint.lintText(`${line}\n`, { filePath: join(root, file) });
  return (result?.messages ?? [])
    .filter(({ ruleId }) => ruleId === 'no-restricted-imports')
    .map(({ message }) => message);
}

describe('imports run one way', () => {
  for (const [file, line, allowed] of [
    ['agent/oci/digest.ts', "import '../store/content-store.ts';", false],
    ['agent/store/content-store.ts', "import '../routing/router.ts';", false],
    ['agent/routing/router.ts', "import '../transfer/peer-client.ts';", false],
    ['agent/routing/bootstrap/bootstrapper.ts', "import '../../http/send-body.ts';", false],
    ['agent/transfer/client/peer-client.ts', "import '../../http/send-body.ts';", false],
    ['agent/http/send-body.ts', "import '../cli/agent.ts';", false],
    ['agent/http/send-body.ts', "import '../testing/quiet.ts';", false],
    ['agent/mirror/mirror-handler.ts', "import '../transfer/client/peer-client.ts';", true],
    ['agent/http/send-body.ts', "import '../mirror/mirror-handler.ts';", false],
    ['agent/content/content-source.ts', "import '../transfer/peer-transfer.ts';", false],
    ['agent/transfer/peer-transfer.ts', "import '../content/content-source.ts';", true],
    ['agent/cli/registry.ts', "import '../mirror/mirror-handler.ts';", false],
    ['agent/store/content-store.ts', "import '../oci/digest.ts';", true],
    ['agent/native/kernel.ts', "import '../store/content-store.ts';", false],
    ['agent/transfer/body/moving-body.ts', "import '../../native/kernel.ts';", true],
    ['agent/doctor/facts.ts', "import '../http/send-body.ts';", false],
    ['agent/doctor/facts.ts', "import '../hosts/hosts-toml.ts';", true],
    ['agent/kubernetes/startup-taint.ts', "import '../http/send-body.ts';", false],
    ['agent/app/agent.ts', "import '../http/send-body.ts';", true],
  ] as const) {
    it(`${allowed ? 'allows' : 'refuses'} ${line} in ${file}`, async () => {
      const messages = await messagesOf(file, line);
      assert.equal(messages.length, allowed ? 0 : 1);
      if (!allowed) assert.match(messages.join(), /Imports run one way|for tests/);
    });
  }
});
