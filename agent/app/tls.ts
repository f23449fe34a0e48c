import type { PrivateKey } from '@libp2p/interface';
import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { HttpListenerInit } from '../http/http-listener.ts';
import { IdentityCertificate } from '../tls/identity-certificate.ts';
import { TlsKeeper } from '../tls/tls-keeper.ts';
import type { TlsFiles } from '../tls/tls-material.ts';
import type { PeerTls } from '../transfer/client/peer-agents.ts';
import { HandshakeLog } from './handshake-log.ts';

/** TLS as the options ask for it. Keeper and peers are absent without certificates. */
export interface AgentTls {
  readonly keeper?: TlsKeeper;
  /** With `--registry-tls auto`: to be renewed together with the identity of the node. */
  readonly identity?: IdentityCertificate;
  /** How the mirror listens at `--registry-addr`. */
  readonly listener: Pick<HttpListenerInit, 'tls' | 'onForeignTls'>;
  /** How it listens at `--mirror-addr`. */
  readonly node: Pick<HttpListenerInit, 'tls' | 'onForeignTls'>;
  readonly peers?: PeerTls;
}

/** What {@link createTls} needs. */
export interface CreateTlsComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Loads the identity of the node; called if it is needed. */
  readonly loadIdentity: () => Promise<PrivateKey>;
}

/**
 * Reads the certificates that the options name, or makes the one of the identity.
 *
 * @throws UsageError for options that contradict each other, TlsConfigError for files that cannot be used
 */
export async function createTls(
  config: RegistryConfig,
  { metrics, logger, loadIdentity }: CreateTlsComponents,
): Promise<AgentTls> {
  const files = {
    cert: config['registry-tls-cert'],
    key: config['registry-tls-key'],
    ca: config['registry-tls-ca'],
    clientCert: config['registry-tls-client-cert'],
    clientKey: config['registry-tls-client-key'],
    clientCa: config['registry-tls-client-ca'],
  };
  checkOptions(config, files);
  const failures = new HandshakeLog({ metrics, logger });
  const plain = {
    onForeignTls: (): void => {
      failures.failed('no-tls-here');
    },
  };
  const onFailure = failures.failed.bind(failures);
  if (config['registry-tls'] === 'auto') {
    const identity = new IdentityCertificate(await loadIdentity());
    return {
      identity,
      listener: { tls: { source: identity, clientAuth: 'none', onFailure } },
      node: plain,
      peers: { source: identity, serverName: '', byIdentity: true },
    };
  }
  if (isEmpty(files)) return { listener: plain, node: plain };
  const keeper = await TlsKeeper.load({ metrics, logger }, files);
  const clientAuth = config['registry-tls-client-auth'];
  const listener = files.cert === '' ? plain : { tls: { source: keeper, clientAuth, onFailure } };
  return {
    keeper,
    listener,
    node: listener,
    peers: { source: keeper, serverName: config['registry-tls-server-name'] },
  };
}

function isEmpty(files: Required<TlsFiles>): boolean {
  return Object.values(files).every((path: string) => path === '');
}

/** @throws UsageError */
function checkOptions(config: RegistryConfig, files: Required<TlsFiles>): void {
  const { cert, key, ca, clientCert, clientKey, clientCa } = files;
  if ((cert === '') !== (key === '')) {
    throw new UsageError('--registry-tls-cert and --registry-tls-key go together; give both');
  }
  if ((clientCert === '') !== (clientKey === '')) {
    throw new UsageError(
      '--registry-tls-client-cert and --registry-tls-client-key go together; give both',
    );
  }
  const requires = config['registry-tls-client-auth'] === 'require';
  if (requires && (cert === '' || (ca === '' && clientCa === ''))) {
    throw new UsageError(
      '--registry-tls-client-auth require needs --registry-tls-cert, --registry-tls-key and --registry-tls-ca FILE, or --registry-tls-client-ca FILE where clients have authorities of their own',
    );
  }
  // It would look as if clients were checked.
  if (clientCa !== '' && !requires) {
    throw new UsageError(
      '--registry-tls-client-ca is for clients that need a certificate; add --registry-tls-client-auth require',
    );
  }
  if (config['registry-tls'] !== 'auto') return;
  if (!isEmpty(files)) {
    throw new UsageError(
      '--registry-tls auto makes its own certificate; leave out --registry-tls-cert and the other files of certificates, or auto',
    );
  }
  if (config['mirror-addr'] === undefined) {
    throw new UsageError(
      '--registry-tls auto is for peers, and containerd cannot check its certificate; give containerd a port of its own: --mirror-addr 127.0.0.1:PORT, and name that in hosts.toml',
    );
  }
}
