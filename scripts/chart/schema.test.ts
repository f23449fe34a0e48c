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
  readonly maximum?: number;
  readonly items?: Schema;
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

  it('has the bounds of a port, of which some may be 0 for none', () => {
    const { properties = {} } =
      schemaFor(['service.registry.port', 'int'], ['service.registry.hostPort', 'int'])
        .properties?.['service']?.properties?.['registry'] ?? {};
    assert.deepEqual([properties['port']?.minimum, properties['port']?.maximum], [1, 65_535]);
    assert.deepEqual(
      [properties['hostPort']?.minimum, properties['hostPort']?.maximum],
      [0, 65_535],
    );
  });

  it('tells CIDRs from what is none', () => {
    const schema = schemaFor(['peerglass.networkPolicy.nodeCIDRs', 'list']);
    const policy = schema.properties?.['peerglass']?.properties?.['networkPolicy'];
    const pattern = new RegExp(policy?.properties?.['nodeCIDRs']?.items?.pattern ?? '^$');
    for (const cidr of [
      ...['0.0.0.0/0', '10.0.0.0/8', '192.0.2.255/32', '::/0', '2001:db8::/32'],
      ...['fd00::1/128', '1:2:3:4:5:6:7:8/64', '2001:db8:1:2::/64'],
    ]) {
      assert.match(cidr, pattern);
    }
    for (const text of [
      ...['10.0.0.0', '10.0.0.0/33', '10.0.0/8', '10.0.0.256/8', '10.0.0.0/8 '],
      ...['2001:db8::/129', '2001:db8::', '/8', ':/8', 'fd00/8', '12345::/16', 'node-1/8'],
    ]) {
      assert.doesNotMatch(text, pattern);
    }
  });

  it('refuses an unknown type', () => {
    assert.throws(() => schemaFor(['a', 'map']), /no type "map"/);
  });
});
