/**
 * Imported by the processes of the tests (`node --import`). Ends the process of a test file that still runs when
 * its tests have ended or hang: `--test-timeout` bounds a test, and a test that failed may leave a loop behind it.
 */
import { isMainThread } from 'node:worker_threads';

/** Milliseconds that the process of a test file may run. The longest needs an eighth of it. */
const PATIENCE_MS = 20 * 60_000;

// The runner itself runs as long as all files together.
if (process.env['NODE_TEST_CONTEXT'] !== undefined && isMainThread) {
  setTimeout(() => {
    const minutes = PATIENCE_MS / 60_000;
    const resources = process.getActiveResourcesInfo().join(', ');
    process.stderr.write(
      `${process.argv[1] ?? 'a test'} has run for ${minutes} minutes, and keeps ${resources} open\n`,
    );
    process.exit(1);
  }, PATIENCE_MS).unref();
}
