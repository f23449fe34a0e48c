import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { elfNeeds } from './elf.ts';

test('what this Node.js is linked with', { skip: process.platform !== 'linux' }, async () => {
  const { interpreter, libraries } = elfNeeds(await readFile(process.execPath));
  assert.match(interpreter ?? '', /^\/lib\S*\/ld-linux[\w-]*\.so\.\d$/);
  for (const name of ['libc.so.6', 'libm.so.6', 'libstdc++.so.6']) {
    assert.ok(libraries.includes(name), name);
  }
});

test('a file of another kind is refused', () => {
  assert.throws(() => elfNeeds(Buffer.from('#!/bin/sh\n')), /not a 64-bit little-endian ELF file/);
});
