import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PROGRAM = fileURLToPath(new URL('../../testing/fuzz/dns-answers.ts', import.meta.url));
const CORPUS = join(import.meta.dirname, 'corpus/dns-answers');

/** Whether a process here may have a network and mounts of its own. */
const cannotRun: string | false = await run('unshare', ['--mount', '--net', 'ip', 'link']).then(
  () => false,
  () => 'NOT TESTED: needs root, and the programs unshare and ip',
);

describe('what a name server answers', { skip: cannotRun, timeout: 600_000 }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerglass-dns-'));
    const lines = ['nameserver 127.0.0.1', 'options timeout:1 attempts:1', ''];
    await writeFile(join(folder, 'resolv.conf'), lines.join('\n'));
  });
  after(() => rm(folder, { recursive: true }));

  // The system's resolver reads the bytes, in a process of its own.
  it('becomes peers or a BootstrapError, whatever bytes it has', async (t) => {
    const script = [
      'mount --bind "$0" /etc/resolv.conf',
      'ip link set lo up',
      `exec "$1" "$2" "$3"`,
    ].join(' && ');
    const { stdout } = await run(
      'unshare',
      [
        ...['--mount', '--net', 'sh', '-c', script, join(folder, 'resolv.conf')],
        ...[process.execPath, PROGRAM, CORPUS],
      ],
      { env: { ...process.env, UV_THREADPOOL_SIZE: '128' } },
    );
    t.diagnostic(stdout.trim());
    assert.match(stdout, /^\d+ answers; /);
    assert.match(stdout, /peers: \d+/, 'some are read');
  });
});
