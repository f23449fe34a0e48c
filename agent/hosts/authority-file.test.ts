import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { pino } from 'pino';

import { touchTimes } from '../testing/file-tree.ts';
import { HostsFolder, MIRROR } from '../testing/hosts-folder.ts';
import { AuthorityConfigurator } from './authority-file.ts';
import { nodeFileOperations, type FileOperations } from './file-operations.ts';
import { HostsConfigurator } from './hosts-configurator.ts';
import type { RegistryHosts } from './hosts-toml.ts';
import { AUTHORITY_COPY } from './root-folder.ts';

const never = new AbortController().signal;
const options = { prependExisting: false };

describe('AuthorityConfigurator', () => {
  let folder: HostsFolder;
  let copy: string;
  let wanted: readonly RegistryHosts[];
  let warnings: string[];
  beforeEach(() => {
    folder = new HostsFolder();
    copy = join(folder.root, AUTHORITY_COPY);
    const hosts = [{ ...MIRROR, url: 'https://127.0.0.1:5000', ca: [copy] }];
    wanted = [{ registry: '_default', file: { hosts } }];
    warnings = [];
  });
  afterEach(() => {
    folder.remove();
  });

  function authority(pem: string | undefined, files = nodeFileOperations): AuthorityConfigurator {
    const logger = pino({ level: 'warn' }, { write: (line: string) => warnings.push(line) });
    return new AuthorityConfigurator(
      { configurator: new HostsConfigurator({ files, logger }, { path: folder.root }), logger },
      {
        path: folder.root,
        read: pem === undefined ? undefined : () => Promise.resolve(Buffer.from(pem)),
      },
    );
  }

  it('writes the copy before a hosts.toml names it, and cleanup removes it after the last one', async () => {
    const seen: boolean[] = [];
    const files: FileOperations = {
      ...nodeFileOperations,
      async rename(from, to) {
        seen.push(existsSync(copy));
        await nodeFileOperations.rename(from, to);
      },
    };
    const configurator = authority('one', files);
    await configurator.configure(wanted, options, never);
    assert.equal(readFileSync(copy, 'utf8'), 'one');
    await configurator.cleanup(never);
    assert.ok(seen.length >= 2);
    assert.ok(!seen.includes(false), 'the copy existed whenever a hosts.toml came or went');
    assert.equal(existsSync(copy), false);
  });

  it('replaces the copy when the authority changes, and leaves an equal one untouched', async () => {
    await authority('one').configure(wanted, options, never);
    const before = touchTimes(folder.root);
    await authority('one').configure(wanted, options, never);
    assert.deepEqual(touchTimes(folder.root), before);
    await authority('two').configure(wanted, options, never);
    assert.equal(readFileSync(copy, 'utf8'), 'two');
  });

  it('removes the copy when containerd needs none any more', async () => {
    await authority('one').configure(wanted, options, never);
    await authority(undefined).configure(
      [{ registry: '_default', file: { hosts: [MIRROR] } }],
      options,
      never,
    );
    assert.equal(existsSync(copy), false);
  });

  it('keeps the copy while an edited hosts.toml names it, and warns once', async () => {
    await authority('one').configure(wanted, options, never);
    appendFileSync(join(folder.root, '_default/hosts.toml'), '# edited\n');
    const configurator = authority('one');
    await configurator.cleanup(never);
    await configurator.cleanup(never);
    assert.equal(existsSync(copy), true);
    const kept = warnings.filter((line) => line.includes('authority of the mirror is kept'));
    assert.equal(kept.length, 1, warnings.join(''));
  });
});
