import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import { quiet } from '../testing/quiet.ts';
import { KubernetesError } from './node-api.ts';
import { StartupTaint } from './startup-taint.ts';
import type { PatchOperation, Taint } from './taints.ts';

const KEY = 'example.com/not-ready';
const OURS: Taint = { key: KEY, effect: 'NoSchedule' };

/** An agent whose /readyz answers these, the last one from then on. */
async function startAgent(t: TestContext, ...statuses: number[]): Promise<number> {
  const server = createServer((_req, res) => {
    const [status = 200] = statuses.length > 1 ? statuses.splice(0, 1) : statuses;
    res.writeHead(status).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** The API for a node with these taints; the first calls fail with these errors. */
function makeApi(taints: readonly Taint[], ...failures: Error[]) {
  const patches: (readonly PatchOperation[])[] = [];
  return {
    patches,
    taints: () => {
      const failure = failures.shift();
      return failure === undefined ? Promise.resolve(taints) : Promise.reject(failure);
    },
    patch: (operations: readonly PatchOperation[]) => {
      patches.push(operations);
      return Promise.resolve([]);
    },
  };
}

describe('StartupTaint', () => {
  const { signal } = new AbortController();
  const init = (port: number) => ({ key: KEY, agent: { host: '127.0.0.1', port } });

  it('removes the taint once the mirror is ready, and not before', async (t) => {
    const api = makeApi([OURS]);
    const port = await startAgent(t, 503, 200);
    const lines: string[] = [];
    const logger = pino({ base: null }, { write: (line: string) => lines.push(line) });
    await new StartupTaint({ api, logger }, init(port)).remove(signal);
    assert.deepEqual(
      api.patches.map((operations) => operations.map(({ op }) => op)),
      [['test', 'remove']],
    );
    assert.match(lines.join(''), /waiting for the mirror: \/readyz is 503.*startup taint removed/s);
  });

  it('changes nothing on a node without the taint', async (t) => {
    const api = makeApi([{ key: 'other', effect: 'NoSchedule' }]);
    const port = await startAgent(t, 200);
    await new StartupTaint({ api, logger: quiet }, init(port)).remove(signal);
    assert.deepEqual(api.patches, []);
  });

  it('tries again after an error of Kubernetes, and throws every other one', async (t) => {
    const api = makeApi([OURS], new KubernetesError(422, 'changed'));
    const port = await startAgent(t, 200);
    await new StartupTaint({ api, logger: quiet }, init(port)).remove(signal);
    assert.equal(api.patches.length, 1);
    const broken = makeApi([OURS], new TypeError('a bug'));
    const removing = new StartupTaint({ api: broken, logger: quiet }, init(port)).remove(signal);
    await assert.rejects(removing, /a bug/);
  });

  it('returns early and leaves the taint when the signal is aborted', async (t) => {
    const stop = new AbortController();
    const api = makeApi([OURS]);
    const port = await startAgent(t, 503);
    const removing = new StartupTaint({ api, logger: quiet }, init(port)).remove(stop.signal);
    stop.abort();
    await removing;
    assert.deepEqual(api.patches, []);
  });
});
