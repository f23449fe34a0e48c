import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { freePort } from '../../testing/agent-program.ts';
import { doctorStage, serveAgent } from '../../testing/doctor-facts.ts';

describe('the check swarm-key', () => {
  for (const [open, outcome] of [
    [true, 'warning'],
    [false, 'ok'],
    [undefined, 'skipped'],
  ] as const) {
    it(`is ${outcome} when the setting open is ${String(open)}`, async (t) => {
      const metricsAddress = await serveAgent(t, { '/debug/status': { settings: { open } } });
      const { find } = await doctorStage(t, {}, { metricsAddress });
      assert.equal((await find('swarm-key')).outcome, outcome);
    });
  }
});

describe('the check router-port', () => {
  it('is ok when the agent reports that it listens there', async (t) => {
    const status = { listening: ['/ip4/10.0.0.1/tcp/5001'] };
    const metricsAddress = await serveAgent(t, { '/debug/status': status });
    const { find } = await doctorStage(t, {}, { metricsAddress, routerPort: 5001 });
    assert.equal((await find('router-port')).outcome, 'ok');
  });

  it('is ok when the agent listens on another port, also when another program holds this one', async (t) => {
    const holder = createServer().listen(0);
    await once(holder, 'listening');
    t.after(() => holder.close());
    const { port } = holder.address() as AddressInfo;
    const status = { listening: ['/ip4/10.0.0.1/tcp/5011'] };
    const metricsAddress = await serveAgent(t, { '/debug/status': status });
    const { find } = await doctorStage(t, {}, { metricsAddress, routerPort: port });
    assert.equal((await find('router-port')).outcome, 'ok');
  });

  it('is skipped when nothing listens and the agent does not answer', async (t) => {
    const { find } = await doctorStage(t, {});
    assert.equal((await find('router-port')).outcome, 'skipped');
  });

  it('fails when another program listens at the port, and names it', async (t) => {
    const holder = createServer().listen(0);
    await once(holder, 'listening');
    t.after(() => holder.close());
    const { port } = holder.address() as AddressInfo;
    const { find } = await doctorStage(t, {}, { routerPort: port });
    const { outcome, reason, remedy } = await find('router-port');
    assert.equal(outcome, 'failure');
    assert.match(reason, new RegExp(`node, process ${process.pid}`));
    assert.match(remedy ?? '', /--router-addr/);
  });

  it('recognises our agent by its command line', async (t) => {
    const port = await freePort();
    const code = `require('net').createServer().listen(${port}, () => console.log('up'))`;
    const words = ['-e', code, 'peerglass', 'registry'];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const { find } = await doctorStage(t, {}, { routerPort: port });
    assert.equal((await find('router-port')).outcome, 'ok');
  });
});

describe('the check embedded-mirror', () => {
  it('is ok without k3s, or with the embedded mirror off', async (t) => {
    const stage = await doctorStage(t, {});
    assert.equal((await stage.find('embedded-mirror')).outcome, 'ok');
    stage.write('k3s.yaml', '# embedded-registry: true\nembedded-registry: false\n');
    assert.equal((await stage.find('embedded-mirror')).outcome, 'ok');
  });

  it('fails when the embedded mirror is on, in a drop-in file too', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('k3s.yaml', 'token: secret\nembedded-registry: true\n');
    const finding = await stage.find('embedded-mirror');
    assert.equal(finding.outcome, 'failure');
    assert.doesNotMatch(JSON.stringify(finding), /secret/);
    stage.write('k3s.yaml', '');
    stage.write('k3s.yaml.d/10-mirror.yaml', '"embedded-registry": "true"\n');
    assert.match((await stage.find('embedded-mirror')).reason, /10-mirror\.yaml/);
  });

  it('is ok when our agent listens at another port, as its remedy says', async (t) => {
    const status = { listening: ['/ip4/10.0.0.1/tcp/5011'] };
    const metricsAddress = await serveAgent(t, { '/debug/status': status });
    const stage = await doctorStage(t, {}, { metricsAddress, routerPort: 5001 });
    stage.write('k3s.yaml', 'embedded-registry: true\n');
    const { outcome, reason } = await stage.find('embedded-mirror');
    assert.equal(outcome, 'ok');
    assert.match(reason, /beside our agent, which listens at 5011/);
  });

  it('is skipped with the place when the file cannot be parsed, rather than off', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('k3s.yaml', 'token: secret\n  embedded-registry: true\n');
    const { outcome, reason } = await stage.find('embedded-mirror');
    assert.equal(outcome, 'skipped');
    assert.match(reason, /k3s\.yaml:\d+:\d+: no valid YAML/);
  });
});
