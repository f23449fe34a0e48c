import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { HttpListenerInit } from '../http/http-listener.ts';
import { TlsKeeper } from '../tls/tls-keeper.ts';
import type { PeerTls } from '../transfer/client/peer-agents.ts';
import { HandshakeLog } from './handshake-log.ts';

/** TLS as the options ask for it. Keeper and peers are absent without certificates. */
export interface AgentTls {
  readonly keeper?: TlsKeeper;
  /** How the mirror listens. */
  readonly listener: Pick<HttpListenerInit, 'tls' | 'onForeignTls'>;
  readonly peers?: PeerTls;
}

/**
 * Reads the certificates that the options name.
 *
 * @throws UsageError for options that contradict each other, TlsConfigError for files that cannot be used
 */
export async function createTls(
  config: RegistryConfig,
  metrics: Metrics,
  logger: Logger,
): Promise<AgentTls> {
  const files = {
    cert: config['registry-tls-cert'],
    key: config['registry-tls-key'],
    ca: config['registry-tls-ca'],
  };
  const clientAuth = config['registry-tls-client-auth'];
  if ((files.cert === '') !== (files.key === '')) {
    throw new UsageError('--registry-tls-cert and --registry-tls-key go together; give both');
  }
  if (clientAuth === 'require' && (files.ca === '' || files.cert === '')) {
    throw new UsageError(
      '--registry-tls-client-auth require needs --registry-tls-cert, --registry-tls-key and --registry-tls-ca FILE',
    );
  }
  const failures = new HandshakeLog({ metrics, logger });
  const onForeignTls = (): void => {
    failures.failed('no-tls-here');
  };
  if (files.cert === '' && files.ca === '') return { listener: { onForeignTls } };
  const keeper = await TlsKeeper.load({ metrics, logger }, files);
  const onFailure = failures.failed.bind(failures);
  return {
    keeper,
    listener:
      files.cert === '' ? { onForeignTls } : { tls: { source: keeper, clientAuth, onFailure } },
    peers: { source: keeper, serverName: config['registry-tls-server-name'] },
  };
}
