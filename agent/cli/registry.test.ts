import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { PROGRAMS, freePort, runProgram, spawnProgram } from '../testing/agent-program.ts';
import { eventually } from '../testing/eventually.ts';
import { sha256 } from '../testing/image.ts';

const BLOB_BYTES = 64 * 1024 * 1024;

/** Asks until the answer is 200: at first an agent verifies a blob, and answers 404 where that takes it long. */
async function fetchVerified(url: string): Promise<Response> {
  const answers: Response[] = [];
  await eventually(async () => {
    const response = await fetch(url);
    if (response.status !== 200) await response.body?.cancel();
    assert.equal(response.status, 200);
    answers.push(response);
  });
  const [response] = answers;
  assert.ok(response);
  return response;
}

for (const [form, program] of Object.entries(PROGRAMS)) {
  describe(`peerglass registry, from the ${form}`, () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'peerglass-cli-'));
    });
    after(() => {
      rmSync(folder, { recursive: true });
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

    it('ends with 1 and names the file, when the socket is a plain file or the key is corrupt', async () => {
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

    it('waits for containerd, and logs a warning meanwhile', async (t) => {
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

    it('is not ready from SIGTERM on, and finishes the request in flight', async (t) => {
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

      const response = await fetchVerified(
        `http://127.0.0.1:${registryPort}/v2/app/blobs/${digest}`,
      );
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

    it('takes new requests during --shutdown-delay, for clients that have not heard of the end', async (t) => {
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
      const response = await fetchVerified(url);
      assert.equal((await response.arrayBuffer()).byteLength, BLOB_BYTES);
    });

    it('ends at once with 1 on a second signal, with a request in flight', async (t) => {
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
      // The body is not read, so the request stays in flight until the agent cuts it off.
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
