import { ALERTS } from '../monitoring/alerts.ts';
import type { OptionValue } from './option-values.ts';
import { optionOf, type ValueRow } from './values-file.ts';

/** The keywords of JSON Schema, draft 7, that are used here. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly properties?: Record<string, Schema>;
  readonly additionalProperties?: boolean;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'boolean',
  int: 'integer',
  list: 'array',
  object: 'object',
};

/** Values that accept only some words. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  'image.pullPolicy': ['Always', 'IfNotPresent', 'Never'],
  'grafanaDashboard.mode': ['Sidecar', 'GrafanaOperator'],
  'peerglass.preset': ['', 'k3s', 'rke2', 'k0s', 'microk8s'],
  'peerglass.ipFamilyPolicy': ['SingleStack', 'PreferDualStack', 'RequireDualStack'],
};

/** A number from 0 to 255, from 0 to 32, and from 0 to 128. */
const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const UP_TO_32 = '(3[0-2]|[12]?[0-9])';
const UP_TO_128 = '(12[0-8]|1[01][0-9]|[1-9]?[0-9])';
const IPV4 = `${OCTET}(\\.${OCTET}){3}`;
/** All that looks like an address of IPv6. Kubernetes reads it exactly. */
const IPV6 = '[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){1,7}:([0-9A-Fa-f]{1,4})?';
const CIDR: Schema = { type: 'string', pattern: `^(${IPV4}/${UP_TO_32}|${IPV6}/${UP_TO_128})$` };
const PORT: Schema = { type: 'integer', minimum: 1, maximum: 65_535 };
/** 0 for none. */
const OPTIONAL_PORT: Schema = { ...PORT, minimum: 0 };
const OPTIONAL_IP: Schema = { type: 'string', pattern: `^(${IPV4}|${IPV6})?$` };

/** Single values of which Kubernetes or the agent takes not all of the type. They would refuse it later, or on each node. */
const VALUES: Readonly<Record<string, Schema>> = {
  'service.registry.port': PORT,
  'service.registry.mirrorPort': PORT,
  'service.registry.hostPort': OPTIONAL_PORT,
  'service.registry.nodePort': OPTIONAL_PORT,
  'service.router.port': PORT,
  'service.metrics.port': PORT,
  'service.cleanup.port': PORT,
  revisionHistoryLimit: { type: 'integer', minimum: 0 },
  'peerglass.hostIP': OPTIONAL_IP,
  'peerglass.terminationGracePeriodSeconds': { type: 'integer', minimum: 0 },
  // The agent would refuse it when `helm uninstall` has removed all else.
  'peerglass.cleanupRounds': { type: 'integer', minimum: 1 },
  'peerglass.cleanupTimeoutSeconds': { type: 'integer', minimum: 1, maximum: 86_400 },
  'peerglass.startupTaint.key': {
    type: 'string',
    pattern: '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$',
  },
};

/** Items of lists, likewise. */
const ITEMS: Readonly<Record<string, Schema>> = {
  'peerglass.prometheusRule.disabled': { enum: Object.keys(ALERTS) },
  'peerglass.extraNodeIPs': { type: 'string', pattern: `^(${IPV4}|${IPV6})$` },
  'peerglass.ipFamilies': { enum: ['IPv4', 'IPv6'] },
  'peerglass.networkPolicy.nodeCIDRs': CIDR,
  'peerglass.networkPolicy.apiServerCIDRs': CIDR,
  'peerglass.networkPolicy.apiServerPorts': PORT,
};

/** Patterns by kind of option. They refuse at the installation what the agent would refuse later. */
const PATTERNS: Readonly<Record<string, string>> = {
  DURATION: '^(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ms|s|m|h))+)?$',
  SIZE: '^([0-9]+(\\.[0-9]+)?((Ki|Mi|Gi)B?)?)?$',
  PATH: '^(/.*|auto|off)?$',
  ZONE: '^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$',
};

/**
 * The schema of the values. `peerglass` is closed, because a misspelt name there would have no effect. The rest accepts other
 * values, because values files for Spegel may have more; NOTES.txt lists them as ignored.
 */
export function schemaOf(rows: readonly ValueRow[], values: readonly OptionValue[]): unknown {
  const root: Node = { children: new Map() };
  for (const row of rows) {
    let node = root;
    for (const part of row.path) {
      const next = node.children.get(part) ?? { children: new Map() };
      node.children.set(part, next);
      node = next;
    }
    node.schema = { description: row.description, ...rowSchema(row, values) };
  }
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart of Peerglass',
    ...schemaOfNode(root, false),
  };
}

interface Node {
  readonly children: Map<string, Node>;
  schema?: Schema;
}

function schemaOfNode({ children, schema }: Node, closed: boolean): Schema {
  if (schema !== undefined) return schema;
  return {
    type: 'object',
    ...(closed && { additionalProperties: false }),
    properties: Object.fromEntries(
      [...children].map(([name, child]) => [
        name,
        schemaOfNode(child, closed || name === 'peerglass'),
      ]),
    ),
  };
}

function rowSchema(row: ValueRow, values: readonly OptionValue[]): Schema {
  const option = optionOf(row, values)?.option;
  if (option !== undefined) return optionSchema(option.kind);
  const words = WORDS[row.path.join('.')];
  if (words !== undefined) return { enum: words };
  const type = TYPES[row.type];
  if (type === undefined) throw new Error(`values.yaml: no type "${row.type}"`);
  const items = ITEMS[row.path.join('.')];
  return items === undefined ? (VALUES[row.path.join('.')] ?? { type }) : { type, items };
}

/** The schema of an option. Null means that the option is not set. */
function optionSchema({ list, placeholder }: OptionValue['option']['kind']): Schema {
  if (list) return { type: ['array', 'null'], items: { type: 'string' } };
  if (placeholder === 'true|false') return { type: ['boolean', 'null'] };
  if (placeholder === 'NUMBER') return { type: ['integer', 'null'], minimum: 0 };
  if (placeholder.includes('|')) {
    const words = placeholder.split('|');
    const both = new Set([...words, ...words.map((word) => word.toLowerCase())]);
    return { enum: [...both, '', null] };
  }
  const pattern = PATTERNS[placeholder];
  const numbers = placeholder === 'SIZE' ? ['integer'] : [];
  return {
    type: ['string', ...numbers, 'null'],
    ...(pattern !== undefined && { pattern }),
  };
}
