import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { entryAt, type FileOperations, type FileOwner } from './file-operations.ts';
import { HostsConfigError } from './hosts-error.ts';
import {
  HOSTS_TOML,
  BACKUP,
  TEMPORARY,
  numberedBackupName,
  isSame,
  readRegistryFolder,
  type RegistryFolder,
} from './registry-folder.ts';

/** Another process changed the folder after it was read. Nothing was overwritten; the change must be planned again. */
export class ChangedMeanwhileError extends Error {
  override readonly name = 'ChangedMeanwhileError';
  readonly code = 'ERR_CHANGED_MEANWHILE';
}

/** A change of one registry's folder, in two steps: a full disk fails the first one, before anything has changed. */
export interface FolderChange {
  readonly folder: RegistryFolder;
  /** What the change does, for the log and the report. */
  readonly action: 'written' | 'restored' | 'tidied';
  /** Writes all new files under temporary names. */
  prepare(): Promise<void>;
  /** Renames the prepared files into place. At every moment containerd reads either the old file or the new one. */
  commit(): Promise<void>;
  /** Removes the prepared files. */
  abandon(): Promise<void>;
}

/** Mode of folders that are created. */
const FOLDER_MODE = 0o755;

/** A random temporary name. */
export function temporaryName(): string {
  return `${TEMPORARY}${randomBytes(6).toString('hex')}`;
}

/** Base of all changes: temporary files, and the check that the folder is as it was read. */
abstract class Change implements FolderChange {
  abstract readonly action: FolderChange['action'];
  readonly folder: RegistryFolder;
  protected readonly files: FileOperations;
  protected readonly root: string;
  readonly #prepared: string[] = [];

  constructor(files: FileOperations, folder: RegistryFolder) {
    this.files = files;
    this.folder = folder;
    this.root = dirname(folder.path);
  }

  async prepare(): Promise<void> {
    // A restore writes no new files.
  }

  abstract commit(): Promise<void>;

  async abandon(): Promise<void> {
    for (const path of this.#prepared.reverse()) await discard(this.files, path);
  }

  protected path(name: string): string {
    return join(this.folder.path, name);
  }

  /** Path of a temporary entry, which {@link abandon} removes. */
  protected temporary(folder: string): string {
    const path = join(folder, temporaryName());
    this.#prepared.push(path);
    return path;
  }

  /** @throws ChangedMeanwhileError when the folder differs from what was read */
  protected async check(): Promise<void> {
    const { name, exists, current, backup } = this.folder;
    const now = await readRegistryFolder(this.root, name);
    if (now.exists !== exists || !isSame(now.current, current) || !isSame(now.backup, backup)) {
      throw new ChangedMeanwhileError(`${this.folder.path} changed meanwhile`);
    }
  }
}

/** Writes a `hosts.toml`. An existing one that peerglass did not write, or that was edited, is backed up first. */
export class WriteChange extends Change {
  readonly action = 'written';
  readonly #content: Buffer;
  readonly #owner: FileOwner;
  #file = '';
  #newBackup: string | undefined;

  constructor(files: FileOperations, folder: RegistryFolder, content: Buffer, owner: FileOwner) {
    super(files, folder);
    this.#content = content;
    this.#owner = owner;
  }

  override async prepare(): Promise<void> {
    const { exists, current, backup } = this.folder;
    if (!exists) {
      const folder = this.temporary(this.root);
      await this.files.makeFolder(folder, FOLDER_MODE);
      await this.files.create(join(folder, HOSTS_TOML), this.#content, this.#owner);
      await this.files.sync(folder);
      this.#file = folder;
      return;
    }
    this.#file = this.temporary(this.folder.path);
    await this.files.create(this.#file, this.#content, this.#owner);
    const isTheirs = current !== undefined && current.origin !== 'ours';
    if (isTheirs && !isSame(current, backup)) {
      this.#newBackup = this.temporary(this.folder.path);
      await this.files.link(this.path(HOSTS_TOML), this.#newBackup);
    }
  }

  async commit(): Promise<void> {
    const { path, current, backup } = this.folder;
    await this.check();
    if (!this.folder.exists) {
      await this.files.rename(this.#file, path);
      await this.files.sync(this.root);
      return;
    }
    if (this.#newBackup !== undefined) {
      // An edit of our file does not replace the original: keep the earlier backup under a number.
      if (current?.origin === 'edited' && backup !== undefined) {
        await this.files.rename(this.path(BACKUP), this.path(numberedBackupName(this.folder)));
      }
      await this.files.rename(this.#newBackup, this.path(BACKUP));
      await this.files.sync(path);
    }
    await this.files.rename(this.#file, this.path(HOSTS_TOML));
    await this.files.sync(path);
  }
}

/** Restores the `hosts.toml` that the folder had before peerglass wrote its own, or removes ours if there was none. */
export class RestoreChange extends Change {
  readonly action: FolderChange['action'];

  constructor(files: FileOperations, folder: RegistryFolder) {
    super(files, folder);
    this.action = folder.current?.origin === 'ours' ? 'restored' : 'tidied';
  }

  async commit(): Promise<void> {
    await this.check();
    const { path, current, backup } = this.folder;
    if (current !== undefined && current.origin !== 'ours') {
      if (backup === undefined) return;
      if (current.origin === 'edited' && !isSame(current, backup)) {
        await this.files.rename(this.path(BACKUP), this.path(numberedBackupName(this.folder)));
      } else {
        // Either a crash left the same file twice, or another program wrote a whole new file. That file replaces the backup.
        await this.files.removeFile(this.path(BACKUP));
      }
    } else if (backup !== undefined) {
      await this.files.rename(this.path(BACKUP), this.path(HOSTS_TOML));
    } else if (current?.madeFolder === true && this.folder.others.length === 0) {
      await this.#removeFolder();
      return;
    } else if (current !== undefined) {
      await this.files.removeFile(this.path(HOSTS_TOML));
    }
    await this.files.sync(path);
  }

  /** Removes the folder by a rename: containerd would prefer an empty folder to `_default`. */
  async #removeFolder(): Promise<void> {
    const away = join(this.root, temporaryName());
    await this.files.rename(this.folder.path, away);
    await this.files.sync(this.root);
    await discard(this.files, away);
    if ((await entryAt(away)) !== undefined) {
      await this.files.rename(away, this.folder.path);
      throw new HostsConfigError(
        `${this.folder.path}: another process is writing there; try again`,
      );
    }
  }
}

/** Removes a temporary file, or a temporary folder with at most a `hosts.toml`. A folder with other files stays. */
export async function discard(files: FileOperations, path: string): Promise<void> {
  const entry = await entryAt(path);
  if (entry === undefined) return;
  if (!entry.isDirectory()) {
    await files.removeFile(path);
    return;
  }
  const file = join(path, HOSTS_TOML);
  if ((await entryAt(file)) !== undefined) await files.removeFile(file);
  await files.removeFolder(path).catch((error: unknown) => {
    if (!hasCode(error, 'ENOTEMPTY')) throw error;
  });
}
