import { writeFileSync } from 'node:fs';

import type { FileOperations } from '../hosts/file-operations.ts';

/** Thrown where a killed process would end. */
export class Crash extends Error {
  override readonly name = 'Crash';
}

/** The operation at which {@link CrashingFiles} crash, counted from 0, and whether that one is still done. */
export interface CrashingFilesInit {
  readonly crashAt: number;
  readonly done: boolean;
  /** Called after each operation. */
  readonly onOperation?: () => void;
}

/** File operations that crash at a chosen one, like a killed process. A file that is being created is cut in half. */
export class CrashingFiles implements FileOperations {
  readonly #files: FileOperations;
  readonly #init: CrashingFilesInit;
  #count = 0;

  constructor(files: FileOperations, init: CrashingFilesInit) {
    this.#files = files;
    this.#init = init;
  }

  create: FileOperations['create'] = async (path, content, owner) => {
    await this.#run(
      () => this.#files.create(path, content, owner),
      () => {
        writeFileSync(path, content.subarray(0, content.length / 2), { mode: 0o600, flag: 'wx' });
      },
    );
  };
  makeFolder: FileOperations['makeFolder'] = (...args) =>
    this.#run(() => this.#files.makeFolder(...args));
  link: FileOperations['link'] = (...args) => this.#run(() => this.#files.link(...args));
  rename: FileOperations['rename'] = (...args) => this.#run(() => this.#files.rename(...args));
  removeFile: FileOperations['removeFile'] = (...args) =>
    this.#run(() => this.#files.removeFile(...args));
  removeFolder: FileOperations['removeFolder'] = (...args) =>
    this.#run(() => this.#files.removeFolder(...args));
  sync: FileOperations['sync'] = (...args) => this.#run(() => this.#files.sync(...args));

  async #run(operation: () => Promise<void>, half?: () => void): Promise<void> {
    const { crashAt, done, onOperation } = this.#init;
    const index = this.#count++;
    if (index > crashAt) throw new Crash('dead');
    if (index === crashAt && !done) {
      half?.();
      throw new Crash('killed before');
    }
    await operation();
    onOperation?.();
    if (index === crashAt) throw new Crash('killed after');
  }
}
