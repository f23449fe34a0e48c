import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { PROGRAMS, freePort, runProgram, spawnProgram } from '../testing/agent-program.ts';
import { Authority, noOpenssl } from '../testing/certificates.ts';
import { eventually } from '../testing/eventually.ts';
import { NodeApiServer } from '../testing/node-api-server.ts';

const KEY = 'example.com/mirror-not-ready';
const OURS = { key: KEY, effect: 'NoSchedule', timeAdded: '2026-01-01T00:00:00Z' };
const THEIRS = { key: 'example.com/other', value: 'x', effect: 'NoExecute' };
const ALL = ['get', 'patch'];

for (const [form, program] of Object.entries(PROGRAMS)) {
  describe(`startup-taint, from the ${form}`, { skip: noOpenssl }, () => {
    let authority: Authority;
    let tls: { cert: Buffer; key: Buffer };
    let folder: string;
    let agentPort: number;
    let startAgent: () => Promise<void>;
    let stopAgent = (): void => undefined;

    before(async () => {
      authority = await Authority.create();
      await authority.issue('api');
      tls = { cert: await authority.read('api.crt'), key: await authority.read('api.key') };
      folder = mkdtempSync(join(tmpdir(), 'peerglass-taint-'));
      mkdirSync(join(folder, 'layout'));
      agentPort = await freePort();
      startAgent = async () => {
        const agent = spawnProgram(program, [
          'registry',
          ...['--oci-layout', join(folder, 'layout'), '--router-addr', '127.0.0.1:0'],
          ...['--metrics-addr', `127.0.0.1:${agentPort}`, '--registry-addr', '127.0.0.1:0'],
        ]);
        agent.stderr.resume();
        stopAgent = () => agent.kill('SIGKILL');
        await eventually(async () => {
          assert.equal((await fetch(`http://127.0.0.1:${agentPort}/readyz`)).status, 200);
        });
      };
    });
    after(async () => {
      stopAgent();
      rmSync(folder, { recursive: true });
      await authority[Symbol.asyncDispose]();
    });

    /** A service account as the kubelet mounts it: what is read is a link to the folder of the moment. */
    function account(token: string, ca: Buffer): { path: string; renew: (next: string) => void } {
      const path = mkdtempSync(join(folder, 'account-'));
      const write = (name: string, text: string): void => {
        mkdirSync(join(path, name));
        writeFileSync(join(path, name, 'token'), `${text}\n`);
        writeFileSync(join(path, name, 'ca.crt'), ca);
        symlinkSync(name, join(path, '..data_tmp'));
        renameSync(join(path, '..data_tmp'), join(path, '..data'));
      };
      write('..1', token);
      for (const file of ['token', 'ca.crt']) symlinkSync(`..data/${file}`, join(path, file));
      return {
        path,
        renew: (next) => {
          write('..2', next);
        },
      };
    }

    interface Running {
      readonly log: () => string;
      /** Resolves with the exit code. */
      readonly end: () => Promise<number>;
    }

    function start(t: TestContext, api: NodeApiServer, path: string, node = 'node-1'): Running {
      const child = spawnProgram(
        program,
        [
          'startup-taint',
          ...['--taint-key', KEY, '--service-account', path],
          ...['--metrics-addr', `:${agentPort}`],
        ],
        {
          NODE_NAME: node,
          KUBERNETES_SERVICE_HOST: '127.0.0.1',
          KUBERNETES_SERVICE_PORT: `${api.port}`,
        },
      );
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
      t.after(() => child.kill('SIGKILL'));
      return {
        log: () => log,
        end: async () => {
          child.kill('SIGTERM');
          const [code] = (await once(child, 'exit')) as [number];
          return code;
        },
      };
    }

    async function server(t: TestContext, taints: readonly object[]): Promise<NodeApiServer> {
      const api = await NodeApiServer.start(tls, 'node-1', taints as Record<string, unknown>[]);
      api.rights.set('good', ALL);
      t.after(() => api[Symbol.asyncDispose]());
      return api;
    }

    it('waits for the mirror, removes its own taint only, and keeps running', async (t) => {
      const api = await server(t, [THEIRS, OURS, { ...OURS, effect: 'NoExecute' }]);
      const { path } = account('good', await authority.read('ca.crt'));
      const running = start(t, api, path);
      await eventually(() => {
        assert.match(running.log(), /waiting for the agent/);
      });
      assert.deepEqual(api.seen, []);
      await startAgent();
      await eventually(() => {
        assert.match(running.log(), /startup taint removed/);
      });
      assert.deepEqual(api.taints, [THEIRS]);
      assert.deepEqual(
        api.seen.map(({ method }) => method),
        ['GET', 'PATCH'],
      );
      assert.doesNotMatch(running.log(), /good/, 'the token is not logged');
      assert.equal(await running.end(), 0);
    });

    it('changes nothing on a node without the taint', async (t) => {
      const api = await server(t, [THEIRS]);
      const { path } = account('good', await authority.read('ca.crt'));
      const running = start(t, api, path);
      await eventually(() => {
        assert.match(running.log(), /the node has no startup taint/);
      });
      assert.deepEqual(api.taints, [THEIRS]);
      assert.ok(api.seen.every(({ method }) => method === 'GET'));
    });

    it('keeps a taint that another client added meanwhile', async (t) => {
      const api = await server(t, [OURS]);
      const came = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
      api.beforePatch = () => {
        if (!api.taints.includes(came)) api.taints = [came, ...api.taints];
      };
      const { path } = account('good', await authority.read('ca.crt'));
      const running = start(t, api, path);
      await eventually(() => {
        assert.match(running.log(), /startup taint removed/);
      });
      assert.match(running.log(), /changed meanwhile/);
      assert.deepEqual(api.taints, [came]);
    });

    it('tries again when the node keeps changing, or the server fails', async (t) => {
      const api = await server(t, [OURS]);
      api.refusals.push(409, 503);
      const { path } = account('good', await authority.read('ca.crt'));
      const running = start(t, api, path);
      await eventually(() => {
        assert.match(running.log(), /startup taint removed/);
      });
      assert.match(running.log(), /node node-1 was changed meanwhile/);
      assert.match(running.log(), /the API server answered 503 to patch node node-1/);
      assert.deepEqual(api.taints, []);
    });

    it('logs which permission is missing, and goes on when it is granted', async (t) => {
      const api = await server(t, [OURS]);
      api.rights.set('good', ['get']);
      const { path } = account('good', await authority.read('ca.crt'));
      const running = start(t, api, path);
      await eventually(() => {
        assert.match(running.log(), /may not patch node node-1; it needs a ClusterRole/);
      });
      assert.deepEqual(api.taints, [OURS]);
      api.rights.set('good', ALL);
      await eventually(() => {
        assert.deepEqual(api.taints, []);
      });
    });

    it('uses the renewed token of its service account', async (t) => {
      const api = await server(t, [OURS]);
      const { path, renew } = account('old', await authority.read('ca.crt'));
      const running = start(t, api, path);
      await eventually(() => {
        assert.match(running.log(), /does not take the service account's token/);
      });
      renew('good');
      await eventually(() => {
        assert.deepEqual(api.taints, []);
      });
    });

    it('sends its token to no server but the API server', async (t) => {
      await using other = await Authority.create('other');
      const api = await server(t, [OURS]);
      const { path } = account('good', await other.read('ca.crt'));
      const running = start(t, api, path);
      await eventually(() => {
        assert.match(running.log(), /no answer of the API server .*ca\.crt its authority/);
      });
      assert.deepEqual(api.seen, []);
    });

    for (const [what, node, path, says] of [
      ['a node that is not there', 'node-2', undefined, /no node node-2; --node-name/],
      ['a token that is not there', 'node-1', '/nowhere', /\/nowhere\/token cannot be read/],
      ['a name that is none', '../secrets', undefined, /no node \.\.\/secrets/],
    ] as const) {
      it(`logs the remedy: ${what}`, async (t) => {
        const api = await server(t, [OURS]);
        const mounted = path ?? account('good', await authority.read('ca.crt')).path;
        const running = start(t, api, mounted, node);
        await eventually(() => {
          assert.match(running.log(), says);
        });
        assert.deepEqual(api.taints, [OURS]);
        assert.equal(await running.end(), 0);
      });
    }

    for (const [args, env, says] of [
      [[], {}, /--node-name is needed/],
      [['--node-name', 'a'], {}, /KUBERNETES_SERVICE_HOST/],
      [['--node-name', 'a', '--taint-key', 'a b'], {}, /--taint-key: "a b" is no key of a taint/],
      [['--node-name', 'a', '--taint-key', 'a/b/c'], {}, /--taint-key/],
      [
        ['--node-name', 'a'],
        { KUBERNETES_SERVICE_HOST: 'x', KUBERNETES_SERVICE_PORT: 'y' },
        /API server/,
      ],
    ] as const) {
      it(`ends with 2 for wrong usage: ${args.join(' ')} ${Object.values(env).join(' ')}`, async () => {
        const { code, stderr } = await runProgram(program, ['startup-taint', ...args], env);
        assert.equal(code, 2);
        assert.match(stderr, says);
      });
    }
  });
}
