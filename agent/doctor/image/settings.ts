import { SharePolicy } from '../../oci/share-policy.ts';
import { at, isRecord } from '../json.ts';

/** What the agent says of its options, as far as it decides what is served. */
export interface Settings {
  readonly registryPort: number;
  /** Where the mirror listens; empty for everywhere, or when the agent does not say. */
  readonly registryHost: string;
  /** Whether it speaks TLS; undefined when the agent does not say. */
  readonly registryTls: boolean | undefined;
  /** Registries that are mirrored; none: all. */
  readonly registries: readonly string[];
  /** Sources of regular expressions. */
  readonly filters: readonly string[];
  readonly latest: boolean;
  /** Digests of blobs with wrong bytes on this node's disk. */
  readonly bad: ReadonlySet<string>;
}

/** Where the mirror is when the agent does not say. */
const DEFAULT_PORT = 5000;

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Reads `/debug/status`; the defaults of the agent where it says nothing. */
export function settingsOf(status: unknown): Settings {
  const settings = at(status, 'settings');
  const port = at(settings, 'registryPort');
  const host = at(settings, 'registryHost');
  const tls = at(settings, 'registryTls');
  const bad = at(status, 'integrity', 'bad');
  return {
    registryPort: typeof port === 'number' ? port : DEFAULT_PORT,
    registryHost: typeof host === 'string' && !EVERYWHERE.has(host) ? host : '',
    registryTls: typeof tls === 'boolean' ? tls : undefined,
    registries: texts(at(settings, 'registries')).filter((name) => name !== '*'),
    filters: texts(at(settings, 'filters')),
    latest: at(settings, 'latest') === true,
    bad: new Set(isRecord(bad) ? Object.keys(bad) : []),
  };
}

/** The policy of an agent with these options. */
export function policyOf({ registries, filters, latest }: Settings): SharePolicy {
  return new SharePolicy({ registries, filters: filters.map((it) => new RegExp(it)), latest });
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((it) => typeof it === 'string') : [];
}
