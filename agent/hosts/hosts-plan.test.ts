import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { pino } from 'pino';

import { fileTree } from '../testing/file-tree.ts';
import { DEFAULT, HUB, HostsFolder, THEIRS } from '../testing/hosts-folder.ts';
import { nodeFileOperations as files } from './file-operations.ts';
import { LOCK } from './folder-lock.ts';
import { HostsPlanner, isEmpty } from './hosts-plan.ts';

const options = { prependExisting: false };

describe('HostsPlanner', () => {
  let folder: HostsFolder;
  let warnings: string[];
  let planner: HostsPlanner;
  beforeEach(() => {
    folder = new HostsFolder();
    warnings = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => warnings.push(line) });
    planner = new HostsPlanner({ files, logger });
  });
  afterEach(() => {
    folder.remove();
  });

  it('plans writes before restores, and changes nothing itself', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    await folder.configure([HUB]);
    const before = fileTree(folder.root);
    const { changes } = await planner.plan(folder.root, [DEFAULT], options);
    assert.deepEqual(
      changes.map(({ action, folder: { name } }) => [action, name]),
      [
        ['written', '_default'],
        ['restored', 'docker.io'],
      ],
    );
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('is empty when all files are as wanted', async () => {
    await folder.configure([DEFAULT, HUB]);
    assert.equal(isEmpty(await planner.plan(folder.root, [DEFAULT, HUB], options)), true);
    assert.equal(isEmpty(await planner.plan(folder.root, undefined, options)), false);
  });

  it('is not empty while there is a lock or a temporary file, so that the run removes it', async () => {
    await folder.configure();
    const temporary = folder.write('_default/.peerglass-tmp.1', '');
    const plan = await planner.plan(folder.root, [DEFAULT], options);
    assert.deepEqual(plan.leftovers, [temporary]);
    assert.equal(isEmpty(plan), false);
    await folder.configure();
    writeFileSync(join(folder.root, `${LOCK}x`), '');
    assert.equal((await planner.plan(folder.root, [DEFAULT], options)).isLocked, true);
  });

  it('warns once of each folder that it leaves unchanged', async () => {
    mkdirSync(join(folder.root, 'quay.io/hosts.toml'), { recursive: true });
    folder.write('docker.io/hosts.toml', '[host."http://127.0.0.1:5000"]\n');
    for (let check = 0; check < 3; check++) {
      await planner.plan(folder.root, [HUB], { prependExisting: true });
    }
    assert.equal(warnings.length, 2, warnings.join(''));
    assert.match(warnings.join(''), /docker\.io.*left unchanged: the mirror is already the first/);
    assert.match(warnings.join(''), /quay\.io.*left unchanged: .*is not a file/);
  });

  it('warns of backups of Spegel, whose cleanup would remove our files', async () => {
    await planner.warnOfSpegel(folder.root);
    assert.deepEqual(warnings, []);
    mkdirSync(join(folder.root, '_backup'));
    await planner.warnOfSpegel(folder.root);
    await planner.warnOfSpegel(folder.root);
    assert.equal(warnings.length, 1);
    assert.match(warnings.join(), /_backup.*Spegel/);
  });

  it('says once which registries stay without the mirror, and what to add', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    folder.write('quay.io/ca.crt', '');
    folder.write('10.0.0.9_5000_/hosts.toml', THEIRS);
    folder.write('ghcr.io/hosts.toml', '[host."http://127.0.0.1:5000"]\n');
    folder.write('localhost:5000/hosts.toml', THEIRS);
    for (const prependExisting of [false, true]) {
      await planner.plan(folder.root, [DEFAULT], { prependExisting });
    }
    assert.equal(warnings.length, 1, warnings.join(''));
    const names = '10\\.0\\.0\\.9:5000 docker\\.io quay\\.io';
    assert.match(
      warnings.join(''),
      new RegExp(
        `will not ask the mirror for ${names}: .*hides _default.* --mirrored-registries '\\*' ${names} --prepend-existing`,
      ),
    );
  });

  it('says nothing of the kind when those registries are named, or when no file of _default is wanted', async () => {
    folder.write('docker.io/hosts.toml', THEIRS);
    await planner.plan(folder.root, [DEFAULT, HUB], { prependExisting: true });
    await planner.plan(folder.root, [HUB], { prependExisting: true });
    await planner.plan(folder.root, undefined, options);
    assert.deepEqual(warnings, []);
  });

  it('refuses two entries for the same folder', async () => {
    await assert.rejects(
      planner.plan(folder.root, [HUB, HUB], options),
      /docker\.io is given twice/,
    );
  });
});
