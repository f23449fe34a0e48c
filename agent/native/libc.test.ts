import assert from 'node:assert/strict';
import {
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
  fstatSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { fileOffset, Libc, READY, systemError } from './libc.ts';

describe('Libc', { skip: process.platform !== 'linux' && 'Linux only' }, () => {
  it('duplicates a descriptor, which stays open when the first is closed', () => {
    const libc = new Libc();
    const fd = openSync(import.meta.filename, 'r');
    const duplicate = libc.duplicate(fd);
    closeSync(fd);
    assert.ok(fstatSync(duplicate).isFile());
    libc.close(duplicate);
    assert.throws(() => fstatSync(duplicate), { code: 'EBADF' });
    assert.throws(() => libc.duplicate(duplicate), { code: 'EBADF' });
  });

  it('reports a pipe as readable once bytes are in it', async () => {
    const libc = new Libc();
    const epoll = libc.createEpoll();
    const { readEnd, writeEnd } = libc.pipe(65_536);
    libc.watch(epoll, readEnd, READY.toRead, false);
    assert.deepEqual(await libc.ready(epoll, 0), []);
    writeSync(writeEnd, 'x');
    assert.deepEqual(await libc.ready(epoll, 1_000), [readEnd]);
    assert.deepEqual(await libc.ready(epoll, 0), [], 'it reports once');
    libc.watch(epoll, readEnd, READY.toRead, true);
    assert.deepEqual(await libc.ready(epoll, 1_000), [readEnd]);
    for (const fd of [readEnd, writeEnd, epoll]) libc.close(fd);
  });

  it('sends a part of a file and moves the offset', async () => {
    const libc = new Libc();
    const folder = mkdtempSync(join(tmpdir(), 'peerglass-libc-'));
    const [source, target] = [join(folder, 'source'), join(folder, 'target')];
    writeFileSync(source, '0123456789');
    const [from, to] = [openSync(source, 'r'), openSync(target, 'w')];
    const offset = fileOffset(3);
    assert.equal(await libc.sendfile(to, from, offset, 4), 4);
    assert.equal(offset[0], 7n);
    assert.equal(readFileSync(target, 'utf8'), '3456');
    closeSync(from);
    closeSync(to);
    rmSync(folder, { recursive: true });
  });

  it('knows of connections only what they have not sent', () => {
    const libc = new Libc();
    const { readEnd, writeEnd } = libc.pipe(65_536);
    assert.throws(() => libc.unsent(writeEnd), { code: 'ENOTTY' });
    for (const fd of [readEnd, writeEnd]) libc.close(fd);
  });

  it('returns the negative errno of a failed call', async () => {
    const libc = new Libc();
    const { readEnd, writeEnd } = libc.pipe(65_536);
    const other = libc.pipe(65_536);
    assert.equal(systemError('splice', libc.spliceNow(readEnd, other.writeEnd, 1)).code, 'EAGAIN');
    const result = await libc.splice(-1, other.writeEnd, 1);
    assert.equal(systemError('splice', result).message, 'splice: EBADF');
    for (const fd of [readEnd, writeEnd, other.readEnd, other.writeEnd]) libc.close(fd);
  });
});
