import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { parseDigest } from '../oci/digest.ts';
import { isMissing } from '../errors/system-error.ts';
import { isAborted, pause } from '../timing/pause.ts';
import {
  MAX_VERDICTS,
  type Finding,
  type VerificationResult,
  type VerificationResults,
} from './verification-results.ts';

/** The file in the data directory. */
const NAME = 'verdicts';
/** The first line; another one means another version or another file. */
const HEADER = 'peerglass-verdicts 1';
/** Bytes; that many verdicts take less. */
const MAX_FILE = 300 * MAX_VERDICTS;
/** Lines that are written at a time, so that nothing else waits for long. */
const BATCH = 1_000;
/** Milliseconds between two looks whether there is something to write, and as many more for so many verdicts. */
const WRITE_MS = 10_000;
const WRITE_MS_PER_VERDICT = 2;

const LINE =
  /^(sha(?:256|512):[0-9a-f]+) ((?:-|\d+):\d+:(?:-|\d+):(?:-|\d+)) (right|wrong|unreadable) (\d{1,15})$/;

/** What a {@link ResultsFile} works with. */
export interface ResultsFileComponents {
  readonly verdicts: VerificationResults;
  readonly logger: Logger;
}

/**
 * Keeps the verdicts over a restart. They are worth time, not truth: a file that is damaged, cut short or of
 * another version is left aside, and a verdict holds only for the very state of the file that it was given on.
 */
export class ResultsFile {
  readonly #verdicts: VerificationResults;
  readonly #logger: Logger;
  readonly #folder: string;
  readonly #writeInterval: number;
  #written = 0;
  #complained = false;

  /** @param folder the data directory; made when it is not there */
  constructor(
    { verdicts, logger }: ResultsFileComponents,
    folder: string,
    writeInterval = WRITE_MS,
  ) {
    this.#verdicts = verdicts;
    this.#logger = logger;
    this.#folder = folder;
    this.#writeInterval = writeInterval;
  }

  /** Takes in what was written last; never rejects. */
  async load(): Promise<void> {
    const path = join(this.#folder, NAME);
    try {
      if ((await stat(path)).size > MAX_FILE) throw new Error('too large');
      const loaded: (readonly [string, VerificationResult])[] = [];
      let ended = false;
      let first = true;
      const file = await open(path, 'r');
      for await (const line of file.readLines()) {
        if (ended) throw new Error('goes on after its end');
        if (first && line !== HEADER) throw new Error('of another version');
        if (!first && line === `end ${loaded.length}`) ended = true;
        else if (!first) loaded.push(parseLine(line));
        first = false;
      }
      if (!ended) throw new Error('cut short');
      for (const [text, verdict] of loaded) {
        const digest = parseDigest(text);
        if (digest !== undefined) this.#verdicts.set(digest, verdict);
      }
      this.#written = this.#verdicts.revision;
    } catch (error) {
      if (isMissing(error)) return;
      this.#logger.warn(
        { err: error, path },
        'verdicts on blobs cannot be read; blobs are verified anew where needed',
      );
    }
  }

  /** Writes now and then what has changed, until `signal` is aborted, and then once more; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!isAborted(signal)) {
      await pause(this.#writeInterval + this.#verdicts.size * WRITE_MS_PER_VERDICT, signal);
      await this.#write();
    }
  }

  async #write(): Promise<void> {
    const { revision } = this.#verdicts;
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
      this.#logger.warn({ err: error, path }, 'verdicts on blobs cannot be written');
    }
  }

  async #writeTo(path: string): Promise<void> {
    const file = await open(path, 'w', 0o600);
    try {
      let lines = [HEADER];
      let count = 0;
      for (const [digest, { state, finding, checkedAt }] of [...this.#verdicts.entries()]) {
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
  if (digest === undefined || state === undefined) throw new Error('damaged');
  return [digest, { state, finding: finding as Finding, checkedAt: Number(checkedAt) }];
}
