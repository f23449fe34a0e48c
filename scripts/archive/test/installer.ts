import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The files of the installer in the repository. */
export const DEPLOY: string = join(import.meta.dirname, '../../deploy');

const MACHINE = process.arch === 'x64' ? 'x86_64' : 'aarch64';

/** The result of a program. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function run(command: string, ...args: readonly string[]): Outcome {
  return spawnSync(command, args, { encoding: 'utf8' });
}

/** An unpacked archive with stand-ins for its programs, and the root of a system to install into. */
export class InstallerUnderTest {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'peerglass-install-'));
  readonly archive: string = join(this.folder, 'archive');
  readonly root: string = join(this.folder, 'root');

  constructor() {
    cpSync(DEPLOY, this.archive, { recursive: true });
    for (const name of ['peerglass.mjs', 'koffi.node', 'LICENSE', 'THIRD-PARTY']) {
      writeFileSync(join(this.archive, name), name);
    }
    writeFileSync(join(this.archive, 'architecture'), `${MACHINE}\n`);
    writeFileSync(join(this.archive, 'node'), '#!/bin/sh\necho v24\n', { mode: 0o755 });
    mkdirSync(join(this.root, 'etc/systemd/system'), { recursive: true });
    writeFileSync(join(this.root, 'etc/systemd/system/other.service'), '');
  }

  /** Runs the installer, which must succeed. */
  install(...args: readonly string[]): Outcome {
    const outcome = run(join(this.archive, 'install'), '--root', this.root, ...args);
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), 'utf8');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
