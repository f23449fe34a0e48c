import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { documentedFile } from './documented-file.ts';

describe('documentedFile', () => {
  it('gives the block behind the path', async () => {
    const mirrors = await documentedFile(
      'CLIENTS.md',
      '/etc/containers/registries.conf.d/peerglass.conf',
    );
    assert.match(mirrors, /^\[\[registry\]\]\n/);
    const docker = await documentedFile('CLIENTS.md', '/etc/docker/daemon.json');
    assert.deepEqual(JSON.parse(docker), { 'registry-mirrors': ['http://127.0.0.1:5000'] });
  });

  it('fails for a path that the page does not have', async () => {
    await assert.rejects(documentedFile('CLIENTS.md', '/etc/other'), /has no block/);
  });
});
