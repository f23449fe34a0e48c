import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { elfNeeds } from './elf.ts';

describe('elfNeeds', () => {
  it(
    'finds the loader and the libraries of this Node.js',
    { skip: process.platform !== 'linux' },
    async () => {
      const { interpreter, libraries } = elfNeeds(await readFile(process.execPath));
      assert.match(interpreter ?? '', /^\/lib\S*\/ld-linux[\w-]*\.so\.\d$/);
      for (const name of ['libc.so.6', 'libm.so.6', 'libstdc++.so.6']) {
        assert.ok(libraries.includes(name), name);
      }
    },
  );

  it('refuses a file of another kind', () => {
    assert.throws(
      () => elfNeeds(Buffer.from('#!/bin/sh\n')),
      /not a 64-bit little-endian ELF file/,
    );
  });
});
