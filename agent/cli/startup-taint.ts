import type { OptionValues } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { SUBCOMMANDS } from '../config/subcommands.ts';
import { NodeApi } from '../kubernetes/node-api.ts';
import { StartupTaint } from '../kubernetes/startup-taint.ts';
import { isAborted, pause } from '../timing/pause.ts';
import { createLogger } from '../app/logger.ts';
import { endSignal } from '../app/end-signal.ts';

/** The maximum delay of a timer, in milliseconds: 24 days. */
const LONG_MS = 2 ** 31 - 1;

/**
 * Removes the startup taint from this node once its mirror is ready. Then it waits for a signal, because the kubelet
 * restarts a container of a DaemonSet that has ended.
 *
 * @throws UsageError without a node or an API server
 */
export async function runStartupTaint(
  config: OptionValues<(typeof SUBCOMMANDS)['startup-taint']['options']>,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const node = config['node-name'];
  if (node === '') {
    throw new UsageError('--node-name is needed: spec.nodeName of the pod, by the downward API');
  }
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = Number(env['KUBERNETES_SERVICE_PORT'] ?? 443);
  if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UsageError(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name an API server; is this a pod?',
    );
  }
  const logger = createLogger(config);
  const signal = endSignal();
  const { host: agentHost, port: agentPort } = config['metrics-addr'];
  const api = new NodeApi({ host, port, account: config['service-account'], node });
  const agent = { host: agentHost === '' ? '127.0.0.1' : agentHost, port: agentPort };
  const taint = new StartupTaint({ api, logger }, { key: config['taint-key'], agent });
  await taint.remove(signal);
  while (!isAborted(signal)) await pause(LONG_MS, signal);
}
