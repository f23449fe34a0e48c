import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import type { HandshakeFailure } from '../http/tls-server.ts';

/** Between two lines of the log about the same, in milliseconds: whoever connects decides how often there is one. */
const QUIET_MS = 60_000;

/** What each means, and what to do; the label of `peerglass_tls_handshake_failures_total`. */
const MEANINGS: Readonly<Record<HandshakeFailure | 'no-tls-here', string>> = {
  'plain-http':
    'somebody speaks http to the port of the mirror, which has TLS; hosts.toml must name it with https',
  distrust:
    'somebody does not accept the certificate of this node; give it the authority (`ca` in hosts.toml), and the certificate the address that it uses',
  'client-certificate':
    'somebody shows no certificate, or none of --registry-tls-ca, and --registry-tls-client-auth is require',
  other: 'a handshake failed; --log-level DEBUG tells how',
  'no-tls-here':
    'somebody speaks TLS to the port of the mirror, which has none; hosts.toml must name it with http, or give --registry-tls-cert',
};

/** What a {@link HandshakeLog} works with. */
export interface HandshakeLogComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Counts the connections that came to nothing, and says so now and then. */
export class HandshakeLog {
  readonly #components: HandshakeLogComponents;
  readonly #said = new Map<string, { at: number; since: number }>();

  constructor(components: HandshakeLogComponents) {
    this.#components = components;
  }

  /** Notes one. */
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
