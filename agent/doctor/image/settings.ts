import { SharePolicy } from '../../oci/share-policy.ts';
import { parseShareRule, type ShareRule } from '../../oci/share-rule.ts';
import { at, isRecord } from '../json.ts';

/** The options of the agent that decide what is served, as `/debug/status` reports them. */
export interface Settings {
  /** Where the mirror listens for the containerd of its node. */
  readonly mirrorPort: number;
  /** Host that it listens on there; empty for all addresses, or when unknown. */
  readonly mirrorHost: string;
  /** Whether the mirror speaks TLS; undefined when unknown. */
  readonly registryTls: boolean | undefined;
  /** Registries that are mirrored; none: all. */
  readonly registries: readonly string[];
  /** `--registry-filters`, as sources of regular expressions. */
  readonly filters: readonly string[];
  /** Whether tags are shared at all. */
  readonly tags: boolean;
  /** Whether the tag `latest` is shared. */
  readonly latest: boolean;
  /** `--share`, as it was written. */
  readonly share: readonly string[];
  /** Digests of blobs with wrong bytes on this node's disk. */
  readonly bad: ReadonlySet<string>;
}

/** Port of the mirror when unknown: the default of `--registry-addr`. */
const DEFAULT_PORT = 5000;

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Reads the settings from `/debug/status`, with the agent's defaults for missing fields. */
export function settingsOf(status: unknown): Settings {
  const settings = at(status, 'settings');
  // An agent without `--mirror-addr`, or of an earlier version, has one listener for all.
  const port = at(settings, 'mirrorPort') ?? at(settings, 'registryPort');
  const host = at(settings, 'mirrorHost') ?? at(settings, 'registryHost');
  const tls = at(settings, 'registryTls');
  const bad = at(status, 'integrity', 'bad');
  return {
    mirrorPort: typeof port === 'number' ? port : DEFAULT_PORT,
    mirrorHost: typeof host === 'string' && !EVERYWHERE.has(host) ? host : '',
    registryTls: typeof tls === 'boolean' ? tls : undefined,
    registries: texts(at(settings, 'registries')).filter((name) => name !== '*'),
    filters: texts(at(settings, 'filters')),
    tags: at(settings, 'resolveTags') !== false,
    latest: at(settings, 'latest') === true,
    share: texts(at(settings, 'share')),
    bad: new Set(isRecord(bad) ? Object.keys(bad) : []),
  };
}

/** Makes the share policy of an agent with these settings. */
export function policyOf({ registries, filters, tags, latest, share }: Settings): SharePolicy {
  return new SharePolicy({
    registries,
    filters: filters.map((it) => new RegExp(it)),
    tags,
    latest,
    rules: share.flatMap(ruleOf),
  });
}

/** None for what this version does not know. */
function ruleOf(text: string): ShareRule[] {
  try {
    return [parseShareRule(text)];
  } catch {
    return [];
  }
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((it) => typeof it === 'string') : [];
}
