import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { buildAgentImage } from '../agent-image.ts';
import { waitFor } from '../wait.ts';
import type { KubeObject } from './control-plane.ts';
import { KubeCluster } from './kube-cluster.ts';
import type { KubePod } from './kube-pod.ts';
import type { Container, PodSpec } from './objects.ts';

/** Has Node in it, and no shell. */
const IMAGE = 'localhost/peerglass:kubelet';
const LABELS = { app: 'server' };
/** Live until the file `dead` exists, ready while `ready` exists. A restart removes both. */
const SERVER = `
  const has = (name) => fs.existsSync('/shared/' + name);
  fs.rmSync('/shared/dead', { force: true });
  fs.rmSync('/shared/ready', { force: true });
  const healthy = { '/live': () => !has('dead'), '/ready': () => has('ready') };
  const server = http.createServer((req, res) => res.writeHead(healthy[req.url]() ? 200 : 503).end());
  server.listen(8080);
  process.once('SIGTERM', () => process.exit(0));
`;

suite('the kubelet of the harness', () => {
  let cluster: KubeCluster;

  before(async () => {
    const { archive } = await buildAgentImage(IMAGE);
    cluster = await KubeCluster.start({ suites: ['bookworm'], archives: [archive] });
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  test('runs init containers in order, then the pod as its manifest describes it', async () => {
    const pod = run(cluster, {
      initContainers: [append('1'), append('2')],
      containers: [server()],
    });
    await waitFor('it runs', () => pod.phase === 'Running');
    const { current } = pod.container();
    const see = (expression: string): Promise<string> =>
      current.exec('node', '-p', `JSON.stringify(${expression})`);
    assert.deepEqual(JSON.parse(await see('fs.readFileSync("/shared/order", "utf8")')), '12');
    const { NODE, WHERE, NAME, APP } = JSON.parse(await see('process.env')) as NodeJS.ProcessEnv;
    const node = pod.machine.containerd.host.address;
    assert.deepEqual([NODE, WHERE, NAME, APP], [node, `${node} $(X) $(NODE)`, 'pod', 'server']);
    assert.equal(await see('process.getuid()'), '65532\n');
    assert.equal(await see('os.networkInterfaces().eth0[0].address'), `"${pod.address}"\n`);
    await assert.rejects(current.exec('node', '-e', 'fs.writeFileSync("/x", "")'), /EROFS/);
    await assert.rejects(current.exec('node', '-e', 'fs.writeFileSync("/tree/x", "")'), /EROFS/);
    const response = await pod.machine.containerd.host.fetch(`http://${node}:31000/live`);
    assert.equal(response.status, 200, 'the host port');
    await cluster.plane.removePod(pod);
  });

  test('puts ready pods into the names and addresses of Services, and restarts containers that are not live', async () => {
    cluster.plane.apply(service('headless', { clusterIP: 'None' }));
    cluster.plane.apply(service('early', { clusterIP: 'None', publishNotReadyAddresses: true }));
    cluster.plane.apply(service('balanced', { type: 'NodePort' }));
    const pod = run(cluster, { containers: [server()] });
    await waitFor('it runs', () => pod.phase === 'Running' && pod.address);
    const act = (name: string): Promise<string> =>
      pod.container().current.exec('node', '-e', `fs.writeFileSync('/shared/${name}', '')`);
    const find = async (name: string): Promise<string> => {
      const script = `dns.promises.resolve4('${name}.tests.svc.cluster.local')
        .then((found) => console.log(String(found)), (error) => console.log(error.code))`;
      return (await pod.container().current.exec('node', '-e', script)).trim();
    };
    const { host } = pod.machine.containerd;
    const ask = (port: number): Promise<unknown> =>
      host.fetch(`http://${host.address}:${port}/live`, { signal: AbortSignal.timeout(2000) });

    assert.equal(await find('headless'), 'ENODATA');
    assert.equal(await find('early'), pod.address);
    await assert.rejects(ask(31001), 'no pod is ready');
    await act('ready');
    await waitFor('it is ready', () => pod.ready);
    await waitFor('the name', async () => (await find('headless')) === pod.address);
    await ask(31001);
    const viaService = `fetch('http://balanced.tests.svc.cluster.local/live').then((it) => console.log(it.status))`;
    assert.equal(await pod.container().current.exec('node', '-e', viaService), '200\n');

    await act('dead');
    await waitFor('it was started again', () => pod.container().restartCount === 1 && !pod.ready);
    await waitFor('it is out of the names', async () => (await find('headless')) === 'ENODATA');
    await cluster.plane.removePod(pod);
  });

  test('does not start the containers after an init container that fails', async () => {
    const failing: Container = {
      ...append('1'),
      args: ['-e', 'console.log("why"); process.exit(3)'],
    };
    const pod = run(cluster, { initContainers: [failing], containers: [server()] });
    await assert.rejects(
      pod.finished,
      ({ cause }: Error) => cause instanceof Error && /ended with 3:[^]*why/.test(cause.message),
    );
    assert.throws(() => pod.container(), /no container/);
    await cluster.plane.removePod(pod);
  });

  test('refuses fields that it does not implement', () => {
    assert.throws(
      () => run(cluster, { containers: [{ ...server(), lifecycle: {} } as Container] }),
      /Pod pod\.containers\[0\]\.lifecycle/,
    );
  });
});

function run(cluster: KubeCluster, spec: PodSpec): KubePod {
  const metadata = { name: 'pod', namespace: 'tests' };
  const whole: PodSpec = {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 2,
    securityContext: { runAsUser: 65532, runAsNonRoot: true },
    volumes: [
      { name: 'shared', emptyDir: {} },
      { name: 'tree', hostPath: { path: '/etc/containerd', type: 'Directory' } },
    ],
    ...spec,
  };
  return cluster.plane.runPod(metadata, { metadata: { labels: LABELS }, spec: whole });
}

function server(): Container {
  const probe = { periodSeconds: 1, failureThreshold: 2 };
  return {
    name: 'server',
    image: IMAGE,
    command: ['/usr/bin/node', '-e', SERVER],
    env: [
      { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
      { name: 'WHERE', value: '$(NODE) $(X) $$(NODE)' },
      { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'APP', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
    ],
    ports: [{ name: 'web', containerPort: 8080, hostPort: 31000 }],
    startupProbe: { httpGet: { path: '/live', port: 'web' }, ...probe, failureThreshold: 30 },
    readinessProbe: { httpGet: { path: '/ready', port: 'web' }, ...probe },
    livenessProbe: { httpGet: { path: '/live', port: 8080 }, ...probe },
    securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    volumeMounts: [
      { name: 'shared', mountPath: '/shared' },
      { name: 'tree', mountPath: '/tree', readOnly: true },
    ],
  };
}

function append(text: string): Container {
  return {
    name: `append-${text}`,
    image: IMAGE,
    command: ['/usr/bin/node'],
    args: ['-e', `fs.appendFileSync('/shared/order', '${text}')`],
    volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
  };
}

function service(name: string, spec: Readonly<Record<string, unknown>>): KubeObject {
  const port = { name: 'web', port: 80, targetPort: 'web' };
  const ports = [spec['type'] === 'NodePort' ? { ...port, nodePort: 31001 } : port];
  const metadata = { name, namespace: 'tests' };
  return { kind: 'Service', metadata, spec: { selector: LABELS, ports, ...spec } };
}
