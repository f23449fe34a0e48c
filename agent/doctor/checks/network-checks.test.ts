import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { seal } from '../../hosts/marker.ts';
import { freePort } from '../../testing/agent-program.ts';
import { doctorStage, serve, serveAgent } from '../../testing/doctor-facts.ts';
import type { Finding } from '../report.ts';

const mirrorAt = (port: number): string => `[host.'http://127.0.0.1:${port}']\n`;

describe('the check mirror-port', () => {
  it('is ok when the mirror answers in the network of containerd', async (t) => {
    const stage = await doctorStage(t, {});
    const port = await serve(t, (req, res) => res.writeHead(req.url === '/v2/' ? 200 : 404).end());
    stage.write('certs.d/_default/hosts.toml', mirrorAt(port));
    const { outcome, reason } = await stage.find('mirror-port');
    assert.equal(outcome, 'ok');
    assert.match(reason, /answers in the network of containerd/);
  });

  it('fails when nothing answers, or another program does', async (t) => {
    const stage = await doctorStage(t, {});
    const free = await freePort();
    stage.write('certs.d/_default/hosts.toml', mirrorAt(free));
    const closed = await stage.find('mirror-port');
    assert.equal(closed.outcome, 'failure');
    assert.deepEqual(closed.details, [`http://127.0.0.1:${free}: ECONNREFUSED`]);
    const port = await serve(t, (_req, res) => res.writeHead(404).end());
    stage.write('certs.d/_default/hosts.toml', mirrorAt(port));
    assert.match((await stage.find('mirror-port')).details?.join() ?? '', /answers 404/);
  });

  it('is skipped without hosts.toml, and without containerd when the mirror does not answer', async (t) => {
    const stage = await doctorStage(t, undefined);
    assert.match((await stage.find('mirror-port')).reason, /see hosts-file/);
    stage.write('certs.d/_default/hosts.toml', mirrorAt(await freePort()));
    const { outcome, reason } = await stage.find('mirror-port');
    assert.equal(outcome, 'skipped');
    assert.match(reason, /which is no proof/);
  });
});

describe('the check mirror-port, when the agent listens elsewhere', () => {
  it('gives the command that names where the agent is', async (t) => {
    const settings = { registryPort: await freePort() };
    const metricsAddress = await serveAgent(t, { '/debug/status': { settings } });
    const stage = await doctorStage(t, {}, { metricsAddress });
    const text = mirrorAt(await freePort());
    const init = { folder: '_default', madeFolder: true, k3s: false };
    stage.write('certs.d/_default/hosts.toml', seal(text, init));
    const { outcome, remedy } = await stage.find('mirror-port');
    assert.equal(outcome, 'failure');
    const url = `http://127.0.0.1:${settings.registryPort}`;
    assert.ok(remedy?.startsWith(`peerglass configuration --mirror-targets ${url} `), remedy);
  });
});

describe('the check mirror-port, when the agent closes the connection', () => {
  for (const mirrorClients of ['node', 'any'] as const) {
    it(`${mirrorClients === 'node' ? 'says' : 'does not say'} that containerd is not recognised, with --mirror-clients=${mirrorClients}`, async (t) => {
      const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
      t.after(() => server.close());
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const settings = { registryPort: 1, mirrorPort: port, mirrorClients };
      const metricsAddress = await serveAgent(t, { '/debug/status': { settings } });
      const stage = await doctorStage(t, {}, { metricsAddress });
      stage.write('certs.d/_default/hosts.toml', mirrorAt(port));
      const { outcome, remedy } = await stage.find('mirror-port');
      assert.equal(outcome, 'failure');
      assert.equal(remedy?.includes('--node-ip'), mirrorClients === 'node', remedy);
    });
  }
});

describe('the check mirror-port, when the mirror wants credentials', () => {
  it('asks with those of hosts.toml, and says that they are wrong', async (t) => {
    const port = await serve(t, ({ headers }, res) =>
      res.writeHead(headers.authorization === 'Basic right' ? 200 : 401).end(),
    );
    const stage = await doctorStage(t, {});
    for (const [header, outcome] of [
      ["header = { 'Authorization' = ['Basic right'] }\n", 'ok'],
      ["header = { 'Authorization' = ['Basic wrong'] }\n", 'failure'],
      ['', 'failure'],
    ] as const) {
      stage.write('certs.d/_default/hosts.toml', `${mirrorAt(port)}${header}`);
      const { find } = await doctorStage(t, undefined, stage.init);
      const finding = await find('mirror-port');
      assert.equal(finding.outcome, outcome, finding.reason);
      if (outcome === 'ok') continue;
      assert.match(finding.details?.join() ?? '', /answers 401: .* credentials/);
      assert.match(finding.remedy ?? '', /--basic-auth-dir/);
      assert.doesNotMatch(JSON.stringify(finding), /Basic/);
    }
  });
});

describe('the check mirror-proxy', () => {
  /** The check on a node whose containerd has these variables. */
  async function findWith(t: TestContext, env: NodeJS.ProcessEnv, url: string): Promise<Finding> {
    const stage = await doctorStage(t, undefined);
    stage.write('certs.d/_default/hosts.toml', `[host.'${url}']\n`);
    const code = `require('net').createServer((s) => s.end()).listen(process.argv[1], () => console.log('up'))`;
    const child = spawn(process.execPath, ['-e', code, stage.init.socketPath], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const { find } = await doctorStage(t, undefined, { ...stage.init, mirrorTargets: [url] });
    return await find('mirror-proxy');
  }
  const HTTP_PROXY = 'http://user:secret@proxy.example:3128';

  it('fails when containerd sends its requests to a proxy, and names NO_PROXY', async (t) => {
    const env = { HTTP_PROXY, NO_PROXY: '.svc' };
    const finding = await findWith(t, env, 'http://10.9.8.7:5000');
    assert.equal(finding.outcome, 'failure', finding.reason);
    assert.match(finding.remedy ?? '', /NO_PROXY=\.svc,10\.9\.8\.7$/m);
    assert.deepEqual(finding.details, ['http://10.9.8.7:5000: through http://proxy.example:3128']);
    assert.doesNotMatch(JSON.stringify(finding), /secret/);
  });

  it('is ok when NO_PROXY has the address, for loopback, and without a proxy', async (t) => {
    for (const [env, url] of [
      [{ HTTP_PROXY, NO_PROXY: '.svc,10.9.8.7' }, 'http://10.9.8.7:5000'],
      [{ HTTP_PROXY }, 'http://127.0.0.1:5000'],
      [{}, 'http://10.9.8.7:5000'],
    ] as const) {
      assert.equal((await findWith(t, env, url)).outcome, 'ok', JSON.stringify(env));
    }
  });

  it('is skipped without containerd or hosts.toml', async (t) => {
    const stage = await doctorStage(t, undefined);
    assert.match((await stage.find('mirror-proxy')).reason, /see hosts-file/);
    stage.write('certs.d/_default/hosts.toml', mirrorAt(5000));
    assert.equal((await stage.find('mirror-proxy')).outcome, 'skipped');
  });
});
