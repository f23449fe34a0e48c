import { ALERTS } from '../monitoring/alerts.ts';
import type { OptionValue } from './option-values.ts';
import { optionOf, type ValueRow } from './values-file.ts';

/** The keywords of JSON Schema, draft 7, that are used here. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly pattern?: string;
  readonly minimum?: number;
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

/** Lists that accept only some words. */
const LISTED: Readonly<Record<string, readonly string[]>> = {
  'peerglass.prometheusRule.disabled': Object.keys(ALERTS),
};

/** Patterns of single values. */
const VALUE_PATTERNS: Readonly<Record<string, string>> = {
  'peerglass.startupTaint.key':
    '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$',
};

/** Minimum numbers. The agent would refuse a smaller one too late: when `helm uninstall` has removed all else. */
const MINIMUMS: Readonly<Record<string, number>> = {
  'peerglass.cleanupRounds': 1,
  'peerglass.cleanupTimeoutSeconds': 1,
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
  const listed = LISTED[row.path.join('.')];
  if (listed !== undefined) return { type: 'array', items: { enum: listed } };
  const type = TYPES[row.type];
  if (type === undefined) throw new Error(`values.yaml: no type "${row.type}"`);
  const pattern = VALUE_PATTERNS[row.path.join('.')];
  const minimum = MINIMUMS[row.path.join('.')];
  return {
    type,
    ...(pattern !== undefined && { pattern }),
    ...(minimum !== undefined && { minimum }),
  };
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
