import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Kinds that `helm install --dry-run` requests, by the version of their API. */
const RESOURCES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  v1: {
    Service: 'services',
    ServiceAccount: 'serviceaccounts',
    Node: 'nodes',
    Pod: 'pods',
    Secret: 'secrets',
    ConfigMap: 'configmaps',
  },
  'apps/v1': { DaemonSet: 'daemonsets' },
  'networking.k8s.io/v1': { NetworkPolicy: 'networkpolicies' },
  'monitoring.coreos.com/v1': {
    ServiceMonitor: 'servicemonitors',
    PodMonitor: 'podmonitors',
    PrometheusRule: 'prometheusrules',
  },
  'grafana.integreatly.org/v1beta1': { GrafanaDashboard: 'grafanadashboards' },
  'autoscaling.k8s.io/v1': { VerticalPodAutoscaler: 'verticalpodautoscalers' },
};

/** A Secret of a {@link KubernetesApi}. */
export interface Secret {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret';
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly data: Readonly<Record<string, string>>;
}

/**
 * A server with the part of the Kubernetes API that helm reads before it installs: versions, kinds and nodes. It has no other
 * objects but the Secrets that it is given, and accepts no changes.
 */
export class KubernetesApi implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /**
   * @param nodes labels of the nodes, by name
   * @param minor minor version of Kubernetes
   * @param secrets objects
   */
  static async start(
    nodes: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
    minor = 34,
    secrets: readonly Secret[] = [],
  ): Promise<KubernetesApi> {
    const items = Object.entries(nodes).map(([name, labels]) => ({ metadata: { name, labels } }));
    const answers = new Map<string, unknown>([
      ['/version', { major: '1', minor: `${minor}`, gitVersion: `v1.${minor}.0` }],
      ['/api', { kind: 'APIVersions', versions: ['v1'] }],
      ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: groups() }],
      ...secrets.map((secret): [string, unknown] => {
        const { namespace, name } = secret.metadata;
        return [`/api/v1/namespaces/${namespace}/secrets/${name}`, secret];
      }),
      ['/api/v1/nodes', { kind: 'NodeList', apiVersion: 'v1', items }],
    ]);
    for (const [version, kinds] of Object.entries(RESOURCES)) {
      answers.set(version === 'v1' ? '/api/v1' : `/apis/${version}`, {
        kind: 'APIResourceList',
        groupVersion: version,
        resources: Object.entries(kinds).map(([kind, name]) => ({
          ...{ kind, name, singularName: '', namespaced: kind !== 'Node' },
          verbs: ['get', 'list'],
        })),
      });
    }
    const server = createServer((req, res) => {
      const answer = answers.get((req.url ?? '').split('?')[0] ?? '');
      res.writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
      res.end(
        JSON.stringify(
          answer ?? {
            kind: 'Status',
            apiVersion: 'v1',
            status: 'Failure',
            reason: 'NotFound',
            code: 404,
          },
        ),
      );
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new KubernetesApi(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function groups(): unknown[] {
  return Object.keys(RESOURCES)
    .filter((version) => version !== 'v1')
    .map((groupVersion) => {
      const [name = '', version = ''] = groupVersion.split('/');
      const versions = [{ groupVersion, version }];
      return { name, versions, preferredVersion: { groupVersion, version } };
    });
}
