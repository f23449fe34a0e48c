import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { optionValues } from './option-values.ts';
import { schemaOf } from './schema.ts';
import type { ValueRow } from './values-file.ts';

interface Schema {
  readonly type?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly additionalProperties?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
}

function schemaFor(...paths: readonly (readonly [path: string, type: string])[]): Schema {
  const rows = paths.map(([path, type]): ValueRow => ({
    path: path.split('.'),
    type,
    fallback: null,
    description: path,
  }));
  return schemaOf(rows, optionValues()) as Schema;
}

describe('schemaOf', () => {
  it('closes peerglass and everything below it, and leaves the rest open', () => {
    const { additionalProperties, properties } = schemaFor(
      ['peerglass.tls.secretName', 'string'],
      ['service.registry.port', 'int'],
    );
    assert.equal(additionalProperties, undefined);
    assert.equal(properties?.['service']?.additionalProperties, undefined);
    assert.equal(properties?.['peerglass']?.additionalProperties, false);
    assert.equal(properties['peerglass'].properties?.['tls']?.additionalProperties, false);
  });

  it('describes options by their kind, and allows null for each', () => {
    const { properties = {} } =
      schemaFor(
        ['peerglass.peerTimeout', 'string'],
        ['peerglass.configure', 'bool'],
        ['peerglass.logLevel', 'string'],
      ).properties?.['peerglass'] ?? {};
    const timeout = new RegExp(properties['peerTimeout']?.pattern ?? '^$');
    assert.match('1m30s', timeout);
    assert.doesNotMatch('5 seconds', timeout);
    assert.deepEqual(properties['configure']?.type, ['boolean', 'null']);
    for (const word of ['DEBUG', 'debug', null]) {
      assert.ok(properties['logLevel']?.enum?.includes(word), String(word));
    }
  });

  it('has the minimum of a number that the agent would refuse too late', () => {
    const schema = schemaFor(['peerglass.cleanupRounds', 'int']);
    assert.equal(schema.properties?.['peerglass']?.properties?.['cleanupRounds']?.minimum, 1);
  });

  it('refuses an unknown type', () => {
    assert.throws(() => schemaFor(['a', 'map']), /no type "map"/);
  });
});
