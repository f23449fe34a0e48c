import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import type { HandshakeFailure } from '../http/tls-server.ts';

/**
 * Time between two log lines for one reason, in milliseconds. Clients decide how often handshakes fail, so the log
 * needs a bound.
 */
const QUIET_MS = 60_000;

/** Meaning and remedy of each reason. The reasons are labels of `peerglass_tls_handshake_failures_total`. */
const MEANINGS: Readonly<Record<HandshakeFailure | 'no-tls-here', string>> = {
  'plain-http':
    'a client speaks http to the port of the mirror, which has TLS; hosts.toml must name it with https',
  distrust:
    'a client does not accept the certificate of this node; name the authority in its hosts.toml (`ca`), and the address that it uses in the certificate',
  'client-certificate':
    'a client has no certificate of an authority in --registry-tls-ca, and --registry-tls-client-auth is require',
  other: 'a handshake failed; --log-level DEBUG logs the reason',
  'no-tls-here':
    'a client speaks TLS to the port of the mirror, which has none; hosts.toml must name it with http, or give --registry-tls-cert',
};

export interface HandshakeLogComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Counts failed handshakes, and logs each reason at most once a minute with the number of failures since. */
export class HandshakeLog {
  readonly #components: HandshakeLogComponents;
  readonly #said = new Map<string, { at: number; since: number }>();

  constructor(components: HandshakeLogComponents) {
    this.#components = components;
  }

  /** Counts a failed handshake. */
  failed(reason: keyof typeof MEANINGS, error?: Error): void {
    const { metrics, logger } = this.#components;
    metrics.tlsHandshakeFailures.inc({ reason });
    logger.debug({ reason, err: error }, 'handshake failed');
    const { at, since } = this.#said.get(reason) ?? { at: -QUIET_MS, since: 0 };
    const now = performance.now();
    if (now - at < QUIET_MS) {
      this.#said.set(reason, { at, since: since + 1 });
      return;
    }
    this.#said.set(reason, { at: now, since: 0 });
    logger.warn({ reason, times: since + 1 }, MEANINGS[reason]);
  }
}
