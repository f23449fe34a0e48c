import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { LayoutUnderTest } from '../testing/layout-fixture.ts';
import { PROGRAMS, freePort, runProgram, spawnProgram } from '../testing/agent-program.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage } from '../testing/image.ts';
import { BAD, GOOD, useRegistriesFile } from '../testing/registries-file.ts';

// What ships. program.test.ts shows that the sources are the same program.
const program = PROGRAMS.bundle;

describe('registriesToShare, in an agent with --registries-yaml', () => {
  const { folder, file } = useRegistriesFile();

  it('keeps the agent from starting when the file leaves open what is shared', async () => {
    for (const [text, says] of [
      [BAD, /registries\.yaml:2:3: the star needs quotes/],
      ['mirrors:\n  localhost:5000:\n', /registries\.yaml: it mirrors no registry/],
    ] as const) {
      writeFileSync(file, text);
      const { code, stderr } = await runProgram(program, [
        ...['registry', '--registries-yaml', file, '--oci-layout', folder],
        ...['metrics', 'registry', 'router'].flatMap((each) => [`--${each}-addr`, '127.0.0.1:0']),
      ]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /hunter2/);
    }
  });

  it('shares only the registries that the file mirrors', async (t) => {
    // An unknown key is logged, and is no reason not to start.
    writeFileSync(file, `${GOOD.replace('username', 'usrname')}\n`);
    await using layout = await (await LayoutUnderTest.create()).begin();
    const images = new Map<string, string>();
    for (const registry of ['docker.io', 'ghcr.io']) {
      const { blobs, manifest } = makeImage(1000);
      for (const bytes of blobs.values()) await layout.putBlob(bytes);
      await layout.putImage(`${registry}/team/app:1.0`, manifest);
      images.set(registry, manifest.digest);
    }
    const port = await freePort();
    const child = spawnProgram(program, [
      ...['registry', '--registries-yaml', file, '--oci-layout', layout.path],
      ...['--metrics-addr', '127.0.0.1:0', '--router-addr', '127.0.0.1:0'],
      ...['--registry-addr', `127.0.0.1:${port}`],
    ]);
    t.after(() => child.kill('SIGKILL'));
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    const status = async (registry: string, reference: string): Promise<number> => {
      const path = `/v2/team/app/manifests/${reference}?ns=${registry}`;
      return (await fetch(`http://127.0.0.1:${port}${path}`, { method: 'HEAD' })).status;
    };
    await eventually(async () => {
      assert.equal(await status('docker.io', '1.0'), 200);
    });
    assert.equal(await status('ghcr.io', '1.0'), 404);
    assert.equal(await status('ghcr.io', images.get('ghcr.io') ?? ''), 404);
    assert.match(log, /"registries":\["docker\.io"\]/);
    assert.match(log, /"level":"warn".*"line":6,.*does not know \\"usrname\\"/);
    assert.doesNotMatch(log, /hunter2/);
  });
});
