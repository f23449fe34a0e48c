import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Folder that receives the logs of failed scenarios. */
export const FAILED_LOGS = fileURLToPath(new URL('../../.e2e-cache/failed/', import.meta.url));

/** Nodes that several scenarios use one after the other. */
interface SharedNodes {
  /** Makes them fit for the next scenario, whatever the last one left. */
  clear(): Promise<void>;
  /** Puts all logs into the folder; what the agents said last. */
  saveLogs(folder: string): Promise<string>;
}

/** Options of {@link scenario}. */
export interface ScenarioOptions {
  /** A limit against hangs, not a measure. Default two minutes. */
  readonly timeoutMs?: number;
}

/**
 * A test on a cluster that the file shares between its tests: it begins with empty nodes, and when it
 * fails, or takes too long, what the agents said last is printed and all logs are kept below `.e2e-cache/`.
 *
 * @param cluster called when the test runs, for the cluster is started in a hook
 */
export function scenario<C extends SharedNodes>(
  name: string,
  cluster: () => C,
  body: (cluster: C, t: TestContext) => Promise<void>,
  { timeoutMs = 120_000 }: ScenarioOptions = {},
): void {
  void test(name, { timeout: timeoutMs + 30_000 }, async (t) => {
    const it = cluster();
    // A limit of its own below node:test's: that one would leave no time to tell what happened.
    const patience = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      patience.reject(new Error(`not done within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      await it.clear();
      await Promise.race([body(it, t), patience.promise]);
    } catch (error) {
      const folder = join(FAILED_LOGS, name.replaceAll(/[^a-z0-9]+/gi, '-'));
      await rm(folder, { recursive: true, force: true });
      t.diagnostic(`whole logs in ${folder}\n${await it.saveLogs(folder)}`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  });
}
