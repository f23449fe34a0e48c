import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

import { CHECKS } from '../doctor/checks.ts';
import { Facts, type FactsInit } from '../doctor/facts.ts';
import type { Finding } from '../doctor/report.ts';
import { runChecks } from '../doctor/run-checks.ts';
import { ContainerdServer, type ContainerdServerInit } from './containerd-server.ts';
import { freePort } from './agent-program.ts';

/** A node that the doctor examines. */
export interface DoctorStage {
  readonly init: FactsInit;
  /** Runs one check. */
  readonly find: (id: string) => Promise<Finding>;
  /** Writes a file below the node's folder, and returns its path. */
  readonly write: (name: string, text: string) => string;
  /** The path of a name below the node's folder. */
  readonly path: (name: string) => string;
}

/** Makes a node of real sockets and files, with the faults that the test chooses. It ends with the test. */
export async function doctorStage(
  t: TestContext,
  containerd: ContainerdServerInit | undefined,
  change: Partial<FactsInit> = {},
): Promise<DoctorStage> {
  const folder = mkdtempSync(join(tmpdir(), 'pg-doctor-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const path = (name: string): string => join(folder, name);
  let socketPath = path('none.sock');
  if (containerd !== undefined) {
    const server = await ContainerdServer.start(containerd);
    t.after(() => {
      server[Symbol.dispose]();
    });
    ({ socketPath } = server);
  }
  const init: FactsInit = {
    socketPath,
    namespace: 'k8s.io',
    certsFolder: path('certs.d'),
    configFile: '',
    mirrorTargets: [],
    registries: [],
    metricsAddress: { host: '127.0.0.1', port: await freePort() },
    routerPort: await freePort(),
    registriesYaml: 'off',
    k3sConfig: path('k3s.yaml'),
    tls: { cert: '', key: '', ca: '' },
    ...change,
  };
  return {
    init,
    path,
    write: (name, text) => {
      const file = path(name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      return file;
    },
    find: async (id) => {
      using facts = new Facts(init);
      const [finding] = await runChecks(
        CHECKS.filter((check) => check.id === id),
        facts,
      );
      assert.ok(finding !== undefined, `no check ${id}`);
      return finding;
    },
  };
}

/** Starts a server on 127.0.0.1 that ends with the test, and returns its port. */
export async function serve(t: TestContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Serves the JSON of an agent's endpoints, by path. */
export async function serveAgent(
  t: TestContext,
  answers: Readonly<Record<string, unknown>>,
): Promise<{ host: string; port: number }> {
  const port = await serve(t, (req, res) => {
    const answer = answers[(req.url ?? '').split('?')[0] ?? ''];
    res.writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify(answer ?? {}));
  });
  return { host: '127.0.0.1', port };
}
