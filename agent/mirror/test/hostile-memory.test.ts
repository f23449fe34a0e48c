import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { PROGRAMS, freePort, spawnProgram } from '../../testing/agent-program.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { connectTo, exchange, received } from '../../testing/raw-http.ts';

const BLOB_BYTES = 64 * 1024 * 1024;
/** Connections at once of each kind. All come from one address, which may have as many. */
const CROWD = 300;
/** Much less than the 300 MiB that these connections would take if each buffered what it receives. */
const MAX_GROWTH = 100 * 1024 * 1024;

async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

describe('the agent stays within its memory', { timeout: 300_000 }, () => {
  it('while hundreds send heads without end, or requests without end', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'peerglass-hostile-'));
    await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
    const bytes = Buffer.alloc(BLOB_BYTES, 'peerglass');
    const digest = sha256(bytes);
    await writeFile(join(folder, 'blobs/sha256', digest.slice(7)), bytes);
    const port = await freePort();
    const child = spawnProgram(PROGRAMS.sources, [
      'registry',
      ...['--oci-layout', folder, '--router-addr', '127.0.0.1:0', '--log-level', 'ERROR'],
      ...['--metrics-addr', '127.0.0.1:0', '--registry-addr', `127.0.0.1:${port}`],
    ]);
    child.stderr.resume();
    const sockets: Socket[] = [];
    t.after(async () => {
      for (const socket of sockets) socket.destroy();
      child.kill('SIGKILL');
      await rm(folder, { recursive: true });
    });
    const origin = `http://127.0.0.1:${port}`;
    const url = `${origin}/v2/app/blobs/${digest}`;
    const assertServes = async (): Promise<void> => {
      const response = await fetch(url, { headers: { range: 'bytes=-9' } });
      assert.equal(response.status, 206);
      assert.equal(await response.text(), bytes.subarray(-9).toString());
    };
    await eventually(assertServes);
    const { pid = 0 } = child;
    const before = await memoryOf(pid);
    let max = before;
    const look = async (what: string): Promise<void> => {
      await assertServes();
      const now = await memoryOf(pid);
      max = Math.max(max, now);
      t.diagnostic(`${what}: ${Math.round((now - before) / 1024 / 1024)} MiB more`);
    };

    const head = `GET /v2/ HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(1 << 20)}\r\n\r\n`;
    await Promise.all(Array.from({ length: CROWD }, () => exchange(origin, head)));
    await look('heads of 1 MiB');

    const drip = `GET /v2/ HTTP/1.1\r\nhost: a\r\n${'a: b\r\n'.repeat(1_000)}`;
    const crowd = await Promise.all(Array.from({ length: CROWD }, () => connectTo(origin)));
    sockets.push(...crowd);
    for (const socket of crowd) socket.on('error', () => undefined).write(drip);
    await look('heads that never end');

    const pipelined = await Promise.all(
      Array.from({ length: CROWD }, async () => {
        const socket = await connectTo(origin);
        socket.write('GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(20_000));
        return received(socket);
      }),
    );
    assert.equal(pipelined.length, CROWD);
    await look('requests without end on one connection');
    assert.ok(max - before < MAX_GROWTH, `grew by ${max - before} bytes`);
  });
});
