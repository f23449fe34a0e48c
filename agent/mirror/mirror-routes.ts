import type { ServerResponse } from 'node:http';

import { Routes, type RouteMatch } from '../http/routes.ts';
import { OciError } from '../oci/errors.ts';

const READ = ['GET', 'HEAD'];

/** Handlers of the mirror's endpoints. */
export interface MirrorEndpoints<H> {
  readonly versionCheck: H;
  /** Parameters: `name`, and `reference`, which is a tag or a digest. */
  readonly manifests: H;
  /** Parameters: `name`, and `reference`, which is a digest. */
  readonly blobs: H;
}

/**
 * The table of routes of the mirror.
 *
 * @see OCI distribution specification, "Endpoints"
 */
export function mirrorRoutes<H>({ versionCheck, manifests, blobs }: MirrorEndpoints<H>): Routes<H> {
  return new Routes([
    { methods: READ, pattern: '/v2/', handler: versionCheck },
    { methods: READ, pattern: '/v2', handler: versionCheck },
    { methods: READ, pattern: '/v2/<name...>/manifests/<reference>', handler: manifests },
    { methods: READ, pattern: '/v2/<name...>/blobs/<reference>', handler: blobs },
  ]);
}

/** The error that answers a request without a route. Sets `Allow` where the specification wants it. */
export function refusalOf(
  match: Exclude<RouteMatch<unknown>, { readonly kind: 'found' }>,
  res: Pick<ServerResponse, 'setHeader'>,
): OciError {
  switch (match.kind) {
    case 'method-not-allowed':
      res.setHeader('Allow', match.allow);
      return new OciError('UNSUPPORTED', 'this is a read-only mirror: only GET and HEAD');
    case 'bad-target':
      return new OciError('NAME_INVALID', 'not a path');
    case 'not-found':
      return new OciError('NAME_UNKNOWN', 'only /v2/, manifests and blobs are served');
  }
}
