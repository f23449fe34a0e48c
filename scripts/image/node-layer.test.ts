import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { elfNeeds } from './elf.ts';
import { NODE_PATH, nodeTree } from './node-layer.ts';
import { PLATFORMS } from './platform.ts';

const root = join(import.meta.dirname, '../..');
const platform = PLATFORMS.find(({ node }) => node === process.arch);
const skip = platform === undefined && 'no image is built for this architecture';

describe('nodeTree', { skip }, () => {
  it('contains the Node.js of the lockfile, with its licence', async () => {
    assert.ok(platform !== undefined);
    const { tree, program } = await nodeTree(root, platform, 'unused');
    assert.ok(elfNeeds(program).interpreter !== undefined);
    assert.ok(tree.file(NODE_PATH)?.equals(program) === true);
    assert.match(tree.file('usr/share/doc/nodejs/copyright')?.toString() ?? '', /Node\.js/);
  });
});
