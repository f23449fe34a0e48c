import { SharePolicy } from '../../oci/share-policy.ts';
import { at, isRecord } from '../json.ts';

/** The options of the agent that decide what is served, as `/debug/status` reports them. */
export interface Settings {
  readonly registryPort: number;
  /** Host that the mirror listens on; empty for all addresses, or when unknown. */
  readonly registryHost: string;
  /** Whether the mirror speaks TLS; undefined when unknown. */
  readonly registryTls: boolean | undefined;
  /** Registries that are mirrored; none: all. */
  readonly registries: readonly string[];
  /** `--registry-filters`, as sources of regular expressions. */
  readonly filters: readonly string[];
  /** Whether the tag `latest` is shared. */
  readonly latest: boolean;
  /** Digests of blobs with wrong bytes on this node's disk. */
  readonly bad: ReadonlySet<string>;
}

/** Port of the mirror when unknown: the default of `--registry-addr`. */
const DEFAULT_PORT = 5000;

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Reads the settings from `/debug/status`, with the agent's defaults for missing fields. */
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

/** Makes the share policy of an agent with these settings. */
export function policyOf({ registries, filters, latest }: Settings): SharePolicy {
  return new SharePolicy({ registries, filters: filters.map((it) => new RegExp(it)), latest });
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((it) => typeof it === 'string') : [];
}
