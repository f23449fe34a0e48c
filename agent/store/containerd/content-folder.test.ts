import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { pino } from 'pino';

import { ABSENT, digestOf } from '../../testing/conformance/content-store.ts';
import { blobPath } from '../blob-file.ts';
import { ContentFolder } from './content-folder.ts';

const BYTES = Buffer.from('the blob');
const DIGEST = digestOf(BYTES);

describe('ContentFolder', () => {
  let parent = '';
  let count = 0;
  before(async () => {
    parent = await mkdtemp(join(tmpdir(), 'pg-folder-'));
  });
  after(() => rm(parent, { recursive: true }));

  const make = (): { path: string; folder: ContentFolder; lines: string[] } => {
    const path = join(parent, String((count += 1)));
    const lines: string[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
    return { path, folder: new ContentFolder(path, logger), lines };
  };
  const put = async (path: string): Promise<void> => {
    await mkdir(dirname(blobPath(path, DIGEST)), { recursive: true });
    await writeFile(blobPath(path, DIGEST), BYTES);
  };

  it('gives the size and the file of a blob, and reports a missing one', async () => {
    const { path, folder } = make();
    await put(path);
    assert.equal(await folder.size(DIGEST), BYTES.length);
    assert.equal(await folder.size(ABSENT), 'missing');
    assert.equal(await folder.open(ABSENT), 'missing');
    const file = await folder.open(DIGEST);
    assert.ok(typeof file === 'object');
    await file[Symbol.asyncDispose]();
  });

  it('is unreadable, and not without the blob, when the whole folder is removed', async () => {
    const { path, folder } = make();
    await put(path);
    assert.equal(await folder.size(DIGEST), BYTES.length);
    await rename(path, `${path}.away`);
    assert.equal(await folder.size(DIGEST), 'unreadable');
    assert.equal(await folder.open(DIGEST), 'unreadable');
  });

  it('finds at once that a missing folder was created, and logs each change once', async () => {
    const { path, folder, lines } = make();
    assert.equal(await folder.size(DIGEST), 'unreadable');
    folder.noteBypass();
    assert.equal(await folder.size(DIGEST), 'unreadable');
    folder.noteBypass();
    assert.equal(lines.length, 1);
    await put(path);
    assert.equal(await folder.size(DIGEST), BYTES.length);
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /readable again/);
  });

  it('logs nothing of a missing folder before there is a blob that it should have', async () => {
    const { path, folder, lines } = make();
    assert.equal(await folder.size(DIGEST), 'unreadable');
    await put(path);
    assert.equal(await folder.size(DIGEST), BYTES.length);
    folder.noteBypass();
    assert.deepEqual(lines, []);
  });

  it('warns at once of a folder that is there and cannot be read', async () => {
    const { path, folder, lines } = make();
    await symlink(path, path);
    assert.equal(await folder.size(DIGEST), 'unreadable');
    folder.noteBypass();
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /not readable/);
  });
});
