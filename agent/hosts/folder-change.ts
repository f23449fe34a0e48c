import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { entryAt, type FileOperations, type FileOwner } from './file-operations.ts';
import { HostsConfigError } from './hosts-error.ts';
import {
  HOSTS_TOML,
  SET_ASIDE,
  TEMPORARY,
  earlierName,
  isSame,
  readRegistryFolder,
  type RegistryFolder,
} from './registry-folder.ts';

/** Somebody else wrote while we were about to; what they wrote is there, and the change has to be thought over. */
export class ChangedMeanwhileError extends Error {
  override readonly name = 'ChangedMeanwhileError';
  readonly code = 'ERR_CHANGED_MEANWHILE';
}

/** A change of one registry's folder, in two steps so that a full disk is found out before anything has changed. */
export interface FolderChange {
  readonly folder: RegistryFolder;
  /** What is done, for the log. */
  readonly action: 'written' | 'restored' | 'tidied';
  /** Writes everything that takes space, under temporary names. */
  prepare(): Promise<void>;
  /** Puts it into place; containerd sees the file of before or the one of after at every moment. */
  commit(): Promise<void>;
  /** Takes back what was prepared. */
  abandon(): Promise<void>;
}

/** Where the files of ours belong to, unless they contain what somebody else kept from others. */
const FOLDER_MODE = 0o755;

/** A free temporary name. */
export function temporaryName(): string {
  return `${TEMPORARY}${randomBytes(6).toString('hex')}`;
}

/** What all changes of a folder have in common. */
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
    // Most have nothing to prepare.
  }

  abstract commit(): Promise<void>;

  async abandon(): Promise<void> {
    for (const path of this.#prepared.reverse()) await discard(this.files, path);
  }

  protected path(name: string): string {
    return join(this.folder.path, name);
  }

  /** A path for something temporary, removed when the change is abandoned. */
  protected temporary(folder: string): string {
    const path = join(folder, temporaryName());
    this.#prepared.push(path);
    return path;
  }

  /** @throws ChangedMeanwhileError when the folder is not as it was read */
  protected async check(): Promise<void> {
    const { name, exists, current, setAside } = this.folder;
    const now = await readRegistryFolder(this.root, name);
    if (now.exists !== exists || !isSame(now.current, current) || !isSame(now.setAside, setAside)) {
      throw new ChangedMeanwhileError(`${this.folder.path} changed meanwhile`);
    }
  }
}

/** Puts a file of ours in the place of what is there, and sets that aside unless it is ours. */
export class WriteChange extends Change {
  readonly action = 'written';
  readonly #content: Buffer;
  readonly #owner: FileOwner;
  #file = '';
  #aside: string | undefined;

  constructor(files: FileOperations, folder: RegistryFolder, content: Buffer, owner: FileOwner) {
    super(files, folder);
    this.#content = content;
    this.#owner = owner;
  }

  override async prepare(): Promise<void> {
    const { exists, current, setAside } = this.folder;
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
    if (isTheirs && !isSame(current, setAside)) {
      this.#aside = this.temporary(this.folder.path);
      await this.files.link(this.path(HOSTS_TOML), this.#aside);
    }
  }

  async commit(): Promise<void> {
    const { path, current, setAside } = this.folder;
    await this.check();
    if (!this.folder.exists) {
      await this.files.rename(this.#file, path);
      await this.files.sync(this.root);
      return;
    }
    if (this.#aside !== undefined) {
      // What was set aside before is kept when this is an edit of ours: nobody decided to replace that.
      if (current?.origin === 'edited' && setAside !== undefined) {
        await this.files.rename(this.path(SET_ASIDE), this.path(earlierName(this.folder)));
      }
      await this.files.rename(this.#aside, this.path(SET_ASIDE));
      await this.files.sync(path);
    }
    await this.files.rename(this.#file, this.path(HOSTS_TOML));
    await this.files.sync(path);
  }
}

/** Gives back what was there before ours. */
export class RestoreChange extends Change {
  readonly action: FolderChange['action'];

  constructor(files: FileOperations, folder: RegistryFolder) {
    super(files, folder);
    this.action = folder.current?.origin === 'ours' ? 'restored' : 'tidied';
  }

  async commit(): Promise<void> {
    await this.check();
    const { path, current, setAside } = this.folder;
    if (current !== undefined && current.origin !== 'ours') {
      if (setAside === undefined) return;
      if (current.origin === 'edited' && !isSame(current, setAside)) {
        await this.files.rename(this.path(SET_ASIDE), this.path(earlierName(this.folder)));
      } else {
        // The same file, left by a crash. Or another: whoever put theirs in the place of ours has replaced what ours stood for.
        await this.files.removeFile(this.path(SET_ASIDE));
      }
    } else if (setAside !== undefined) {
      await this.files.rename(this.path(SET_ASIDE), this.path(HOSTS_TOML));
    } else if (current?.madeFolder === true && this.folder.others.length === 0) {
      await this.#removeFolder();
      return;
    } else if (current !== undefined) {
      await this.files.removeFile(this.path(HOSTS_TOML));
    }
    await this.files.sync(path);
  }

  /** At once: an empty folder would hide `_default`. */
  async #removeFolder(): Promise<void> {
    const away = join(this.root, temporaryName());
    await this.files.rename(this.folder.path, away);
    await this.files.sync(this.root);
    await discard(this.files, away);
    if ((await entryAt(away)) !== undefined) {
      await this.files.rename(away, this.folder.path);
      throw new HostsConfigError(`${this.folder.path}: somebody is writing there; try again`);
    }
  }
}

/** Removes something temporary: a file, or a folder with a `hosts.toml`. Leaves a folder with more in it. */
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
