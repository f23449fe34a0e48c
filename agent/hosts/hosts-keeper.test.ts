import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { pino } from 'pino';

import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { eventually } from '../testing/eventually.ts';
import { fileTree } from '../testing/file-tree.ts';
import { nodeFileOperations } from './file-operations.ts';
import { HostsConfigurator } from './hosts-configurator.ts';
import { HostsKeeper, type HostsKeeperInit } from './hosts-keeper.ts';
import type { RegistryHosts } from './hosts-toml.ts';
import { K3S_HEADER } from './marker.ts';

const URL = 'http://127.0.0.1:5000';
const WANTED: readonly RegistryHosts[] = ['_default', 'docker.io'].map((registry) => ({
  registry,
  file: { hosts: [{ url: URL, capabilities: ['pull'] }] },
}));
const K3S = `${K3S_HEADER}[host."https://there.example/v2"]\n`;

describe('HostsKeeper', () => {
  let root: string;
  let metrics: Metrics;
  let stop: AbortController;
  let running: Promise<void> = Promise.resolve();
  let log: string[];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'peerglass-keeper-'));
    metrics = createMetrics();
    stop = new AbortController();
    log = [];
  });
  afterEach(async () => {
    stop.abort();
    await running;
    chmodSync(root, 0o755);
    rmSync(root, { recursive: true });
  });

  function start(init: Partial<HostsKeeperInit> = {}): HostsKeeper {
    const logger = pino({ level: 'info' }, { write: (line: string) => log.push(line) });
    const keeper = new HostsKeeper(
      {
        configurator: new HostsConfigurator({ files: nodeFileOperations, logger }, { path: root }),
        metrics,
        logger,
      },
      {
        path: root,
        wanted: () => WANTED,
        prependExisting: false,
        pollMs: 3_600_000,
        settleMs: 1,
        backoff: { first: 2, max: 20 },
        ...init,
      },
    );
    running = keeper.run(stop.signal);
    return keeper;
  }
  const file = (registry: string): string => join(root, registry, 'hosts.toml');
  const isOurs = (registry: string): boolean =>
    existsSync(file(registry)) && readFileSync(file(registry), 'utf8').startsWith('# peerglass');
  const whenOurs = (): Promise<void> =>
    eventually(() => {
      for (const { registry } of WANTED) assert.ok(isOurs(registry), registry);
    });
  /** Does what k3s does when it starts. */
  const rewrite = (): void => {
    for (const { registry } of WANTED) {
      rmSync(join(root, registry), { recursive: true });
      mkdirSync(join(root, registry), { mode: 0o700 });
      writeFileSync(file(registry), K3S);
    }
  };

  it('writes its files again when another program rewrites them, and restores those of that program', async () => {
    const keeper = start();
    await whenOurs();
    for (let turn = 0; turn < 3; turn++) {
      rewrite();
      await whenOurs();
    }
    stop.abort();
    await running;
    await keeper.remove();
    assert.equal(readFileSync(file('docker.io'), 'utf8'), K3S);
    assert.equal(readFileSync(file('_default'), 'utf8'), K3S);
  });

  it('writes its files again when the folder of all registries was removed', async () => {
    start({ pollMs: 20 });
    await whenOurs();
    rmSync(root, { recursive: true });
    await whenOurs();
  });

  it('checks regularly, because some changes cause no event', async () => {
    start({ pollMs: 20 });
    await whenOurs();
    await new Promise((resolve) => setTimeout(resolve, 100));
    writeFileSync(file('docker.io'), K3S); // Folders of registries are not watched.
    await whenOurs();
  });

  it('pauses after a write, so that it does not fight another program without end', async () => {
    start({ backoff: { first: 3_600_000, max: 3_600_000 } });
    await whenOurs();
    rewrite();
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(isOurs('docker.io'), false, 'it pauses');
    assert.equal((await metrics.hostsFilesWritten.get()).values[0]?.value, 2);
  });

  it('logs a failure once, tries again, and logs the recovery', async () => {
    writeFileSync(join(root, 'docker.io'), 'not a folder');
    const before = fileTree(root);
    start({ pollMs: 5 });
    await eventually(async () => {
      assert.ok(((await metrics.hostsFailures.get()).values[0]?.value ?? 0) > 3);
    });
    assert.deepEqual(fileTree(root), before);
    const failures = log.filter((line) => line.includes('cannot be configured'));
    assert.equal(failures.length, 1, failures.join(''));
    assert.match(failures[0] ?? '', /docker\.io is not a folder/);
    rmSync(join(root, 'docker.io'));
    await whenOurs();
    await eventually(() => {
      assert.ok(log.some((line) => line.includes('can be configured again')));
    });
  });
});
