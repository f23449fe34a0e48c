import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { parseDigest } from '../oci/digest.ts';
import { isMissing } from '../errors/system-error.ts';
import { isAborted, pause } from '../timing/pause.ts';
import {
  MAX_RESULTS,
  type Finding,
  type VerificationResult,
  type VerificationResults,
} from './verification-results.ts';

/** The file in the data directory. */
const NAME = 'verdicts';
/** The first line. A file with another first line has another version or another purpose. */
const HEADER = 'peerglass-verdicts 1';
/** Bytes of the file; {@link MAX_RESULTS} results take less. */
const MAX_FILE = 300 * MAX_RESULTS;
/** Lines written at a time, so that the event loop is not held for long. */
const BATCH = 1_000;
/** Milliseconds between two writes of what has changed. */
const WRITE_MS = 10_000;
/** Milliseconds added to that for each result, since the whole file is written. */
const WRITE_MS_PER_RESULT = 2;

const LINE =
  /^(sha(?:256|512):[0-9a-f]+) ((?:-|\d+):\d+:(?:-|\d+):(?:-|\d+)) (right|wrong|unreadable) (\d{1,15})$/;

export interface ResultsFileComponents {
  readonly results: VerificationResults;
  readonly logger: Logger;
}

/**
 * Keeps the verification results over a restart. They only save time: a file that is damaged, cut short or of
 * another version is ignored, and a result holds only for the state of the blob's file that was verified.
 */
export class ResultsFile {
  readonly #results: VerificationResults;
  readonly #logger: Logger;
  readonly #folder: string;
  readonly #writeInterval: number;
  #written = 0;
  #complained = false;

  /**
   * @param folder the data directory; created when it is missing
   * @param writeInterval milliseconds between two writes
   */
  constructor(
    { results, logger }: ResultsFileComponents,
    folder: string,
    writeInterval = WRITE_MS,
  ) {
    this.#results = results;
    this.#logger = logger;
    this.#folder = folder;
    this.#writeInterval = writeInterval;
  }

  /** Reads what was written last; never rejects. */
  async load(): Promise<void> {
    const path = join(this.#folder, NAME);
    try {
      if ((await stat(path)).size > MAX_FILE) throw new Error('it is too large');
      const loaded: (readonly [string, VerificationResult])[] = [];
      let ended = false;
      let first = true;
      const file = await open(path, 'r');
      for await (const line of file.readLines()) {
        if (ended) throw new Error('it goes on after its end');
        if (first && line !== HEADER) throw new Error('it has another version');
        if (!first && line === `end ${loaded.length}`) ended = true;
        else if (!first) loaded.push(parseLine(line));
        first = false;
      }
      if (!ended) throw new Error('it is cut short');
      for (const [text, result] of loaded) {
        const digest = parseDigest(text);
        if (digest !== undefined) this.#results.set(digest, result);
      }
      this.#written = this.#results.revision;
    } catch (error) {
      if (isMissing(error)) return;
      this.#logger.warn(
        { err: error, path },
        'verification results cannot be read; blobs are verified again where needed',
      );
    }
  }

  /** Writes what has changed, at intervals until `signal` is aborted and then once more; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!isAborted(signal)) {
      await pause(this.#writeInterval + this.#results.size * WRITE_MS_PER_RESULT, signal);
      await this.#write();
    }
  }

  async #write(): Promise<void> {
    const { revision } = this.#results;
    if (revision === this.#written) return;
    const path = join(this.#folder, NAME);
    const temporary = `${path}.tmp`;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o755 });
      await this.#writeTo(temporary);
      await rename(temporary, path);
      this.#written = revision;
      this.#complained = false;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      if (this.#complained) return;
      this.#complained = true;
      this.#logger.warn({ err: error, path }, 'verification results cannot be written');
    }
  }

  async #writeTo(path: string): Promise<void> {
    const file = await open(path, 'w', 0o600);
    try {
      let lines = [HEADER];
      let count = 0;
      for (const [digest, { state, finding, checkedAt }] of [...this.#results.entries()]) {
        lines.push(`${digest} ${state} ${finding} ${checkedAt}`);
        count += 1;
        if (lines.length < BATCH) continue;
        await file.appendFile(`${lines.join('\n')}\n`);
        lines = [];
      }
      lines.push(`end ${count}`);
      await file.appendFile(`${lines.join('\n')}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

function parseLine(line: string): readonly [string, VerificationResult] {
  const [, digest, state, finding, checkedAt] = LINE.exec(line) ?? [];
  if (digest === undefined || state === undefined) throw new Error('it is damaged');
  return [digest, { state, finding: finding as Finding, checkedAt: Number(checkedAt) }];
}
