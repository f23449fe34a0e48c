import type { RegistryConfig } from '../../config/options.ts';
import { HttpListener } from '../../http/http-listener.ts';
import { listenError } from '../../http/listen-error.ts';
import { sendJson } from '../../http/send-json.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { IDENTITY_PATH } from '../../routing/bootstrap/http-bootstrapper.ts';
import { Libp2pRouter } from '../../routing/libp2p-router.ts';
import type { QuestionHandler } from '../../routing/questions/question-handler.ts';
import { renewIdentity } from '../../routing/node/identity.ts';
import { RouterListenError } from '../../routing/node/libp2p-node.ts';
import type { ComponentLogger } from '../component-logger.ts';
import type { Part } from '../lifecycle.ts';
import type { RefusalLog } from '../refusal-log.ts';
import { countRouting } from '../routing-options.ts';
import type { AgentSettings } from './configuration.ts';

/** What {@link routingStage} needs of the stages before it. */
export interface RoutingStageComponents {
  readonly settings: Pick<AgentSettings, 'privateKey' | 'routing' | 'membership' | 'tls'>;
  /** Where the mirror listens; peers learn of it. */
  readonly registryPort: number;
  readonly refusals: RefusalLog;
  /** Answer questions of other nodes. Default: this node answers none. */
  readonly questions?: readonly QuestionHandler[];
  readonly metrics: Metrics;
  readonly log: ComponentLogger;
}

/** The node in the DHT. */
export interface RoutingStage {
  readonly router: Libp2pRouter;
  /** @throws ListenError */
  start(): Promise<void>;
  /** Leaves the DHT. */
  stop(): Promise<void>;
}

/** Makes the router, which is not started yet. */
export function routingStage(
  config: RegistryConfig,
  { settings, registryPort, refusals, questions, metrics, log }: RoutingStageComponents,
): RoutingStage {
  const { bootstrapper, ...routing } = settings.routing;
  const { membership } = settings;
  metrics.open.set(membership.isOpen ? 1 : 0);
  const router = new Libp2pRouter(
    {
      privateKey: settings.privateKey,
      bootstrapper,
      ...(questions && { questions }),
      onRefusal: (reason, address) => {
        refusals.refused(reason, address);
      },
      ...(membership.keeper !== undefined && {
        swarm: {
          swarmKeys: membership.keeper,
          isOpen: membership.isOpen,
          onStranger: (address) => {
            refusals.refused('swarm-key', address);
          },
        },
      }),
      renewIdentity: async () => {
        const renewed = await renewIdentity(config['data-dir']);
        settings.tls.identity?.renew(renewed.privateKey);
        return renewed;
      },
      logger: log('routing'),
    },
    {
      ...routing,
      registryPort,
      registryTls: settings.tls.listener.tls !== undefined,
      tlsPeersOnly: config['registry-tls-peers-only'],
      observer: countRouting(metrics),
      metricsRegistry: metrics.registry,
    },
  );
  return {
    router,
    start: () =>
      router.start().catch((error: unknown) => {
        if (!(error instanceof RouterListenError)) throw error;
        throw listenError('--router-addr', error.address, error.systemCode, error);
      }),
    stop: () => router.stop(),
  };
}

/**
 * The port of `--http-bootstrap-addr`, not started yet: it serves `/id` to nodes that find their peers by HTTP.
 *
 * @returns undefined when the options name no address
 */
export function identityPort(
  config: Pick<RegistryConfig, 'http-bootstrap-addr'>,
  router: Pick<Libp2pRouter, 'identityAnswer'>,
): Part | undefined {
  const address = config['http-bootstrap-addr'];
  if (address === undefined) return undefined;
  const listener = new HttpListener(address, '--http-bootstrap-addr', (req, res) => {
    const answer = router.identityAnswer();
    if (req.url !== IDENTITY_PATH) {
      sendJson(res, 404, { error: `only ${IDENTITY_PATH} is served here` });
    } else if (answer === undefined) sendJson(res, 503, { error: 'the router is not started' });
    else sendJson(res, 200, answer);
    return Promise.resolve();
  });
  return { start: () => listener.start(), stop: () => listener.stop(0) };
}
