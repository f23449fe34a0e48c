import { ALERTS } from '../monitoring/alerts.ts';
import type { OptionValue } from './option-values.ts';
import { optionOf, type ValueRow } from './values-file.ts';

/** As far as we need it of JSON Schema, draft 7. */
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

/** Values that take a few words only. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  'image.pullPolicy': ['Always', 'IfNotPresent', 'Never'],
  'grafanaDashboard.mode': ['Sidecar', 'GrafanaOperator'],
  'peerglass.preset': ['', 'k3s', 'rke2', 'k0s', 'microk8s'],
  'peerglass.ipFamilyPolicy': ['SingleStack', 'PreferDualStack', 'RequireDualStack'],
};

/** Lists of a few words only. */
const LISTED: Readonly<Record<string, readonly string[]>> = {
  'peerglass.prometheusRule.disabled': Object.keys(ALERTS),
};

/** Texts of a form of their own. */
const FORMS: Readonly<Record<string, string>> = {
  'peerglass.startupTaint.key':
    '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$',
};

/** Least numbers, where the agent would refuse a smaller one only when `helm uninstall` has removed all else. */
const LEAST: Readonly<Record<string, number>> = { 'peerglass.cleanupRounds': 1 };

/** How kinds of options are written, so that what the agent would refuse is refused at the installation. */
const PATTERNS: Readonly<Record<string, string>> = {
  DURATION: '^(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ms|s|m|h))+)?$',
  SIZE: '^([0-9]+(\\.[0-9]+)?((Ki|Mi|Gi)B?)?)?$',
  PATH: '^(/.*|auto|off)?$',
  ZONE: '^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$',
};

/**
 * The schema of the values. `peerglass` is closed, since what is misspelt there would have no effect; the rest is open
 * for what Spegel's values files say beyond it, of which NOTES.txt tells.
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
  const pattern = FORMS[row.path.join('.')];
  const minimum = LEAST[row.path.join('.')];
  return {
    type,
    ...(pattern !== undefined && { pattern }),
    ...(minimum !== undefined && { minimum }),
  };
}

/** An option that is not given is null. */
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
