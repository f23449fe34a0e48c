import { isAborted, pause } from './pause.ts';

/**
 * How often files are read again, in milliseconds. They are small, and only reading sees every change: Kubernetes renews the
 * volume of a secret within a minute or two, by replacing a symbolic link to a folder.
 */
const POLL_MS = 10_000;

/** After this time, in milliseconds, files that are not clear are read once more: they may have been half written. */
const SETTLE_MS = 1_000;

/** Options of {@link followFiles}. */
export interface FollowFilesInit {
  /** Between two reads of the files, in milliseconds. Default 10,000. */
  readonly interval?: number;
  /** Until files that are not clear are read once more, in milliseconds. Default 1,000. */
  readonly settle?: number;
}

/** Files that other programs change while this one runs. */
export interface FollowedFiles {
  /**
   * Reads the files and takes over what they have, or resolves to the reason why they cannot be used. Resolves to
   * `unsettled` for files that have changed and show no sign of being complete: they are read once more after a moment.
   */
  takeOver(): Promise<Error | 'unsettled' | undefined>;
  /** Called once for each reason, in a row of reads with the same one. What was read before stays in use. */
  refused(problem: Error): void;
}

/** Reads files periodically, until the signal is aborted. Rejects with what `takeOver` rejects with. */
export async function followFiles(
  files: FollowedFiles,
  { interval = POLL_MS, settle = SETTLE_MS }: FollowFilesInit,
  signal: AbortSignal,
): Promise<void> {
  let reported = '';
  for (;;) {
    await pause(interval, signal);
    if (isAborted(signal)) return;
    let found = await files.takeOver();
    if (found === 'unsettled' || (found !== undefined && found.message !== reported)) {
      await pause(settle, signal);
      found = await files.takeOver();
    }
    const problem = found === 'unsettled' ? undefined : found;
    if (problem !== undefined && problem.message !== reported) files.refused(problem);
    reported = problem?.message ?? '';
  }
}
