import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { runCommand } from '../system/command.ts';
import { annotationsOf, readMetadata } from './metadata.ts';

const PACKAGE = {
  version: '1.2.3',
  description: 'a mirror',
  license: 'MIT',
  repository: { url: 'git+https://git.example/mirror.git' },
};

async function sources(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'peerglass-metadata-'));
  t.after(() => rm(root, { recursive: true }));
  await writeFile(join(root, 'package.json'), JSON.stringify(PACKAGE));
  return root;
}

async function commit(root: string): Promise<string> {
  const git = (...words: string[]): Promise<string> => runCommand(['git', '-C', root, ...words]);
  await git('init', '-q');
  await git('add', '.');
  const who = ['-c', 'user.name=test', '-c', 'user.email=test@example.test'];
  await git(...who, 'commit', '-q', '-m', 'first', '--date=2020-01-01T00:00:00Z');
  return (await git('rev-parse', 'HEAD')).trim();
}

test('readMetadata needs SOURCE_DATE_EPOCH for sources without git', async (t) => {
  const root = await sources(t);
  await assert.rejects(readMetadata(root, {}), /no commit and no SOURCE_DATE_EPOCH/);
  const metadata = await readMetadata(root, { SOURCE_DATE_EPOCH: '1700000000' });
  assert.deepEqual(annotationsOf(metadata), {
    'org.opencontainers.image.base.name': 'scratch',
    'org.opencontainers.image.created': '2023-11-14T22:13:20Z',
    'org.opencontainers.image.description': 'a mirror',
    'org.opencontainers.image.licenses': 'MIT',
    'org.opencontainers.image.source': 'https://git.example/mirror',
    'org.opencontainers.image.title': 'Peerglass',
    'org.opencontainers.image.version': '1.2.3',
  });
});

test('readMetadata takes revision and time from the commit, and marks uncommitted changes', async (t) => {
  const root = await sources(t);
  const revision = await commit(root);
  const metadata = await readMetadata(root, {});
  assert.equal(metadata.revision, revision);
  assert.ok(!Number.isNaN(Date.parse(metadata.created)));
  await writeFile(join(root, 'new'), '');
  assert.equal((await readMetadata(root, {})).revision, `${revision}-dirty`);
});

test('readMetadata prefers the given source and revision, and refuses invalid ones', async (t) => {
  const root = await sources(t);
  const environment = { SOURCE_DATE_EPOCH: '1700000000' };
  const given = { source: 'https://other.example/mirror', revision: 'abcdef0123' };
  const metadata = await readMetadata(root, environment, given);
  assert.equal(metadata.source, given.source);
  assert.equal(metadata.revision, given.revision);
  for (const wrong of [{ source: 'mirror' }, { source: 'https://me:secret@other.example/' }]) {
    await assert.rejects(readMetadata(root, environment, wrong), /--source/);
  }
  await assert.rejects(readMetadata(root, environment, { revision: 'v1.0' }), /--revision/);
});
