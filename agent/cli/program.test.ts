import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import packageJson from '../../package.json' with { type: 'json' };
import { COMMON_OPTIONS, REGISTRY_OPTIONS } from '../config/options.ts';
import { CHECKS } from '../doctor/checks.ts';
import { PROGRAMS, freePort, runProgram, spawnProgram } from '../testing/agent-program.ts';
import { eventually } from '../testing/eventually.ts';
import { sha256 } from '../testing/image.ts';

const BLOB_BYTES = 64 * 1024 * 1024;

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

    it('lists every option in a line of its own, or two', async () => {
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
    });

    for (const [args, env, says] of [
      [[], {}, /no subcommand/],
      [['mirror'], {}, /unknown command 'mirror'/],
      [
        ['registry', '--regsitry-addr', ':1'],
        {},
        /unknown option '--regsitry-addr'.*registry-addr/s,
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
      it(`ends with 2 and one line: ${args.join(' ')} ${Object.keys(env).join(' ')}`, async () => {
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

    it('examines a node where nothing runs, and ends with 1', async () => {
      const words = ['doctor', '--output', 'json', '--metrics-addr', '127.0.0.1:1'];
      const socket = ['--containerd-sock', join(folder, 'none.sock')];
      const { code, stdout, stderr } = await runProgram(program, [...words, ...socket]);
      assert.equal(code, 1, stderr);
      const report = JSON.parse(stdout) as { schema: number; result: string; checks: unknown[] };
      assert.deepEqual([report.schema, report.result], [1, 'failure']);
      assert.deepEqual(Object.keys(report), ['schema', 'version', 'result', 'counts', 'checks']);
      assert.equal(report.checks.length, CHECKS.length);
    });

    it('ends with 1 and a line that names the option, when a port is in use', async (t) => {
      const holder = createServer().listen(0, '127.0.0.1');
      await once(holder, 'listening');
      t.after(() => holder.close());
      const { port } = holder.address() as AddressInfo;
      for (const flag of ['metrics-addr', 'registry-addr', 'router-addr']) {
        const free = ['metrics-addr', 'registry-addr', 'router-addr']
          .filter((other) => other !== flag)
          .flatMap((other) => [`--${other}`, '127.0.0.1:0']);
        const taken = [`--${flag}`, `127.0.0.1:${port}`];
        const words = [
          'registry',
          '--oci-layout',
          folder,
          '--log-level',
          'ERROR',
          ...free,
          ...taken,
        ];
        const { code, stderr } = await runProgram(program, words);
        assert.equal(code, 1, stderr);
        assert.match(stderr, new RegExp(`^peerglass: --${flag} 127.0.0.1:${port}: .*in use.*\n$`));
      }
    });

    it('ends with 1 when the socket is none or the key is corrupt, and names the file', async () => {
      const file = join(folder, 'private.key');
      writeFileSync(file, 'nonsense');
      const ports = ['metrics-addr', 'registry-addr', 'router-addr'].flatMap((flag) => [
        `--${flag}`,
        '127.0.0.1:0',
      ]);
      const socket = await runProgram(program, ['registry', '--containerd-sock', file, ...ports]);
      assert.equal(socket.code, 1);
      assert.match(socket.stderr, /--containerd-sock .*private\.key: not a socket/);
      const words = ['registry', '--oci-layout', folder, '--data-dir', folder, ...ports];
      const key = await runProgram(program, words);
      assert.equal(key.code, 1);
      assert.match(key.stderr, /private\.key/);
    });

    it('waits for containerd, and says so', async (t) => {
      const child = spawnProgram(program, [
        'registry',
        ...['--containerd-sock', join(folder, 'containerd.sock')],
        ...['--containerd-content-path', join(folder, 'content')],
        ...['--metrics-addr', '127.0.0.1:0', '--registry-addr', '127.0.0.1:0'],
        ...['--router-addr', '127.0.0.1:0'],
      ]);
      t.after(() => child.kill('SIGKILL'));
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
      await eventually(() => {
        assert.match(log, /"level":"warn".*containerd/);
      });
      child.kill('SIGTERM');
      const [code] = (await once(child, 'exit')) as [number];
      assert.equal(code, 0, log);
    });

    it('on SIGTERM is not ready at once, and finishes the request in flight', async (t) => {
      const layout = join(folder, 'layout');
      await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
      const bytes = Buffer.alloc(BLOB_BYTES, 'peerglass');
      const digest = sha256(bytes);
      writeFileSync(join(layout, 'blobs/sha256', digest.slice(7)), bytes);
      const [metricsPort, registryPort] = [await freePort(), await freePort()];
      const child = spawnProgram(program, [
        'registry',
        ...['--oci-layout', layout, '--router-addr', '127.0.0.1:0'],
        ...['--metrics-addr', `127.0.0.1:${metricsPort}`],
        ...['--registry-addr', `127.0.0.1:${registryPort}`],
      ]);
      child.stderr.resume();
      t.after(() => child.kill('SIGKILL'));
      const readyz = `http://127.0.0.1:${metricsPort}/readyz`;
      await eventually(async () => {
        assert.equal((await fetch(readyz)).status, 200);
      });

      const response = await fetch(`http://127.0.0.1:${registryPort}/v2/app/blobs/${digest}`);
      assert.ok(response.body !== null);
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      let received = (await reader.read()).value?.length ?? 0;
      child.kill('SIGTERM');
      await eventually(async () => {
        const readiness = await fetch(readyz);
        assert.equal(readiness.status, 503);
        assert.match(await readiness.text(), /stopping/);
      });
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        received += next.value.length;
      }
      assert.equal(received, BLOB_BYTES);
      const [code] = (await once(child, 'exit')) as [number];
      assert.equal(code, 0);
    });

    it('takes requests for a while after the signal, for those who have not heard of it', async (t) => {
      const layout = join(folder, 'layout');
      const [metricsPort, registryPort] = [await freePort(), await freePort()];
      const child = spawnProgram(program, [
        'registry',
        ...['--oci-layout', layout, '--router-addr', '127.0.0.1:0', '--shutdown-delay', '10m'],
        ...['--metrics-addr', `127.0.0.1:${metricsPort}`],
        ...['--registry-addr', `127.0.0.1:${registryPort}`],
      ]);
      child.stderr.resume();
      t.after(() => child.kill('SIGKILL'));
      const readyz = `http://127.0.0.1:${metricsPort}/readyz`;
      await eventually(async () => {
        assert.equal((await fetch(readyz)).status, 200);
      });
      child.kill('SIGTERM');
      await eventually(async () => {
        assert.equal((await fetch(readyz)).status, 503);
      });
      const digest = sha256(Buffer.alloc(BLOB_BYTES, 'peerglass'));
      const url = `http://127.0.0.1:${registryPort}/v2/app/blobs/${digest}`;
      const response = await fetch(url);
      assert.equal(response.status, 200);
      assert.equal((await response.arrayBuffer()).byteLength, BLOB_BYTES);
    });

    it('ends at once on a second signal', async (t) => {
      const layout = join(folder, 'layout');
      const [metricsPort, registryPort] = [await freePort(), await freePort()];
      const child = spawnProgram(program, [
        'registry',
        ...['--oci-layout', layout, '--router-addr', '127.0.0.1:0'],
        ...['--metrics-addr', `127.0.0.1:${metricsPort}`],
        ...['--registry-addr', `127.0.0.1:${registryPort}`, '--shutdown-timeout', '10m'],
      ]);
      t.after(() => child.kill('SIGKILL'));
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
      const digest = sha256(Buffer.alloc(BLOB_BYTES, 'peerglass'));
      const url = `http://127.0.0.1:${registryPort}/v2/app/blobs/${digest}`;
      // Not read: it stays in flight for as long as the agent lets it.
      let response: Response | undefined;
      while (response?.status !== 200) {
        assert.equal(child.exitCode, null, log);
        await response?.body?.cancel();
        response = await fetch(url).catch(() => undefined);
      }
      child.kill('SIGTERM');
      await eventually(() => {
        assert.match(log, /"msg":"stopping"/);
      });
      child.kill('SIGTERM');
      const [code] = (await once(child, 'exit')) as [number];
      assert.equal(code, 1);
      await assert.rejects(response.arrayBuffer());
    });
  });
}
