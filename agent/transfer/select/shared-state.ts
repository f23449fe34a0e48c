import type { Logger } from 'pino';

import type { Metrics } from '../../metrics/metrics.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { ChunkSizes } from '../body/chunk-sizes.ts';
import { AttemptSlots } from './attempt-slots.ts';
import { FirstByteTimes } from './first-byte-times.ts';
import { IdentityWarnings } from './identity-warnings.ts';
import { KnownSizes } from './known-sizes.ts';
import { PeerScoreboard } from './peer-scoreboard.ts';
import { RecentRates } from './recent-rates.ts';

/** What all requests of this node learn and use together. */
export interface SharedState {
  readonly scoreboard: PeerScoreboard;
  readonly slots: AttemptSlots;
  readonly sizes: KnownSizes;
  readonly rates: RecentRates;
  readonly identityWarnings: IdentityWarnings;
  readonly chunkSizes: Pick<ChunkSizes, 'begin'>;
  readonly firstBytes: Readonly<Record<ContentRequest['method'], FirstByteTimes>>;
}

/** What the state that the requests of one node share is made of. */
export interface CreateSharedStateComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Predicts which part of a blob its client is going to read. Default: a {@link ChunkSizes}. */
  readonly chunkSizes?: SharedState['chunkSizes'] | undefined;
}

/** Makes the state that the requests of one node share; it is empty at first. */
export function createSharedState(
  { chunkSizes = new ChunkSizes(), ...components }: CreateSharedStateComponents,
  init: { readonly zone?: string } = {},
): SharedState {
  return {
    scoreboard: new PeerScoreboard(components, init),
    slots: new AttemptSlots(),
    sizes: new KnownSizes(),
    rates: new RecentRates(),
    identityWarnings: new IdentityWarnings(components),
    chunkSizes,
    firstBytes: { GET: new FirstByteTimes(), HEAD: new FirstByteTimes() },
  };
}
