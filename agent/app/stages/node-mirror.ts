import type { Socket } from 'node:net';

import type { RegistryConfig } from '../../config/options.ts';
import type { HttpListenerInit } from '../../http/http-listener.ts';
import { withPort } from '../../http/local-clients.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { RefusalLog } from '../refusal-log.ts';
import { MirrorPort } from './mirror.ts';

/** What {@link nodeMirrorPort} needs of the stages before it. */
export interface NodeMirrorComponents {
  /** How the mirror listens, and whether a client is on this node. */
  readonly listener: HttpListenerInit & Required<Pick<HttpListenerInit, 'isLocal'>>;
  readonly refusals: Pick<RefusalLog, 'refused'>;
  readonly metrics: Metrics;
}

/**
 * The port of `--mirror-addr`, not started yet: the mirror for the containerd of this node. Another client is
 * counted and logged, and its connection is closed, unless `--mirror-clients any` is given.
 *
 * @returns undefined when the options name no address; containerd then asks at `--registry-addr`
 */
export function nodeMirrorPort(
  config: Pick<RegistryConfig, 'mirror-addr' | 'mirror-clients'>,
  { listener, refusals, metrics }: NodeMirrorComponents,
): MirrorPort | undefined {
  const address = config['mirror-addr'];
  if (address === undefined) return undefined;
  const { isLocal } = listener;
  const admits = ({ remoteAddress, remotePort }: Socket): boolean => {
    if (isLocal(remoteAddress)) return true;
    // Without an address the client has left already.
    if (remoteAddress === undefined) return false;
    refusals.refused('client', withPort(remoteAddress, remotePort));
    return false;
  };
  const init = config['mirror-clients'] === 'any' ? listener : { ...listener, admits };
  return new MirrorPort({ metrics }, address, init, '--mirror-addr');
}
