import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import packageJson from '../../package.json' with { type: 'json' };
import { COMMON_OPTIONS, REGISTRY_OPTIONS } from '../config/options.ts';
import { PROGRAMS, runProgram } from '../testing/agent-program.ts';

for (const [form, program] of Object.entries(PROGRAMS)) {
  describe(`the command line, from the ${form}`, () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'peerglass-cli-'));
    });
    after(() => {
      rmSync(folder, { recursive: true });
    });

    it('prints its version in both formats', async () => {
      const plain = await runProgram(program, ['version']);
      assert.equal(plain.code, 0);
      assert.match(plain.stdout, new RegExp(`^peerglass ${packageJson.version} `));
      const json = await runProgram(program, ['version', '--format=json']);
      const parsed = JSON.parse(json.stdout) as { version: string };
      assert.equal(parsed.version, packageJson.version);
    });

    it('lists every option of registry once, in one line or two', async () => {
      const { code, stdout } = await runProgram(program, ['registry', '--help']);
      assert.equal(code, 0);
      const flags = Object.keys({ ...REGISTRY_OPTIONS, ...COMMON_OPTIONS });
      for (const flag of flags) {
        assert.equal(stdout.split(`\n  --${flag} `).length, 2, `--${flag}, once`);
      }
      const lines = stdout.split('\n');
      assert.ok(lines.length <= 1.5 * flags.length, `${lines.length} lines`);
      for (const line of lines) assert.ok(line.length <= 100, line);
      const overview = await runProgram(program, ['--help']);
      assert.match(overview.stdout, /registry {4,}run the agent.*\n {2}configuration /);
      assert.match(stdout, /--bootstrap-kind static .*: dns, http, static\n/);
    });

    it('takes help as a subcommand, with the name of another or alone', async () => {
      for (const [words, flags] of [
        [['help'], ['--help']],
        [
          ['help', 'cleanup'],
          ['cleanup', '--help'],
        ],
      ] as const) {
        const asked = await runProgram(program, [...words]);
        assert.deepEqual(asked, await runProgram(program, [...flags]));
        assert.equal(asked.code, 0);
        assert.match(asked.stdout, /^(?:Usage|Peerglass): /);
      }
      const unknown = await runProgram(program, ['help', 'clean']);
      assert.equal(unknown.code, 2);
      assert.match(unknown.stderr, /^peerglass: unknown command 'clean'.*cleanup/);
    });

    for (const [args, env, says] of [
      [[], {}, /no subcommand/],
      [['mirror'], {}, /unknown command 'mirror'/],
      [
        ['registry', '--regsitry-addr', ':1'],
        {},
        /unknown option '--regsitry-addr'.*registry-addr/s,
      ],
      [
        ['registry', '--http-bootstrap-url', 'http://a'],
        {},
        /'--http-bootstrap-url' \(it is --http-bootstrap-peer here\)/,
      ],
      [['registry', 'extra'], {}, /too many arguments/],
      [
        ['registry', '--hold-back-size', '128MiB'],
        {},
        /^peerglass: --hold-back-size must not be more/,
      ],
      [['registry', '--registry-addr', 'nonsense'], {}, /--registry-addr: .*HOST:PORT/],
      [['registry', '--registry-addr'], {}, /argument missing/],
      [['registry'], { METRICS_ADDR: '9090' }, /METRICS_ADDR: .*HOST:PORT/],
      [['registry'], { K3S_P2P_PORT: 'x' }, /K3S_P2P_PORT: "x" is no port/],
      [
        ['registry', '--router-addr', 'node:1'],
        {},
        /--router-addr: "node" is no IP address; write IP:PORT/,
      ],
      [['registry', '--bootstrap-kind', 'dns'], {}, /--dns-bootstrap-domain/],
      [['registry', '--bootstrap-kind', 'http'], {}, /--http-bootstrap-peer/],
      [['registry', '--oci-layout', '/dev/null'], {}, /not a folder/],
      [['registry', '--registry-tls-cert', '/a'], {}, /--registry-tls-key go together/],
      [['registry', '--registry-tls-client-auth', 'require'], {}, /needs --registry-tls-cert/],
      [['doctor', '--image', 'UPPER'], {}, /--image: "UPPER" is no image/],
      [['doctor', '--output', 'yaml'], {}, /--output: .*text, json/],
    ] as const) {
      it(`ends with 2 and one line on stderr for wrong usage: ${args.join(' ')} ${Object.keys(env).join(' ')}`, async () => {
        const words =
          args[0] === 'registry' ? [...args, '--metrics-addr', '127.0.0.1:0'] : [...args];
        const given = 'METRICS_ADDR' in env || args[1] === '--registry-addr' ? [...args] : words;
        const { code, stdout, stderr } = await runProgram(program, given, env);
        assert.equal(code, 2, stderr);
        assert.equal(stdout, '');
        assert.match(stderr, says);
        assert.ok(stderr.startsWith('peerglass: '), stderr);
      });
    }
  });
}
