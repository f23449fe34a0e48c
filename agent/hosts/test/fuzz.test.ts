import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import { fuzz } from '../../testing/fuzz/fuzz.ts';
import { WHOLE_REGISTRIES } from '../../testing/registry-findings.ts';
import { parseHostsToml } from '../hosts-toml.ts';
import { correctedText, parseRegistries } from '../registries/parse-registries.ts';
import { sharedRegistries } from '../registries/registries.ts';
import { renderHostsToml } from '../render-hosts-toml.ts';
import { HostsTomlError } from '../toml-table.ts';

const CORPORA = join(import.meta.dirname, 'corpus');

describe('files of administrators', () => {
  fuzz(CORPORA, {
    name: 'hosts.toml',
    seeds: [
      'server = "https://registry-1.docker.io"\n\n[host."http://127.0.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n  dial_timeout = "200ms"\n',
      '[host."https://m.example/v2/x"]\n  override_path = true\n  skip_verify = true\n  ca = ["/a.pem", "/b.pem"]\n  client = [["/c.pem", "/c.key"]]\n  [host."https://m.example/v2/x".header]\n    X-A = ["b", "c"]\n',
      'ca = "/a.pem"\ncapabilities = ["push"]\n',
    ],
    words: [
      '[host."',
      '"]\n',
      'server = ',
      'true',
      '[[',
      '"""',
      "'''",
      '{a = 1}',
      '1979-05-27',
      '\\u0000',
      '__proto__',
      'nan',
      '= ',
    ],
    errors: [HostsTomlError],
    parse: (input) => parseHostsToml(input.toString('utf8')),
    check(file) {
      const again = parseHostsToml(renderHostsToml(file));
      assert.deepEqual(again, file);
    },
  });

  fuzz(CORPORA, {
    name: 'registries.yaml',
    seeds: [WHOLE_REGISTRIES, 'mirrors:\n  "*":\n    endpoint:\n      - "https://m.example"\n'],
    words: [
      'mirrors:\n',
      'configs:\n',
      '  ',
      '\t',
      '- ',
      '&a ',
      '*a',
      '<<: *a',
      '? ',
      '!!binary ',
      '|\n',
      '{',
      '[',
      '"',
      "'",
      '---\n',
    ],
    // Never throws: the findings have every problem.
    errors: [],
    // The nodes of a document of YAML, twice when its layout is repaired.
    memoryPerByte: 4096,
    iterations: 150,
    parse: (input) => parseRegistries(input.toString('utf8')),
    check({ findings, registries }, input) {
      sharedRegistries(registries);
      const text = input.toString('utf8');
      const lines = text.split('\n').length;
      for (const { line, column } of findings) assert.ok(line >= 1 && line <= lines && column >= 1);
      // What was corrected once is corrected.
      parseRegistries(correctedText(text).text);
    },
  });
});
