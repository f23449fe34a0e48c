import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { inspect } from 'node:util';

import { pino } from 'pino';

import { parseRegistries } from '../../hosts/registries/parse-registries.ts';
import { eventually } from '../../testing/eventually.ts';
import { quiet } from '../../testing/quiet.ts';
import { UpstreamCredentials } from './upstream-credentials.ts';

const YAML = `
mirrors:
  quay.io: { endpoint: ["https://mirror.example"] }
  "*": { endpoint: ["https://all.example"] }
configs:
  "mirror.example": { auth: { username: y, password: of-yaml } }
  "registry-1.docker.io": { auth: { identity_token: of-hub } }
  "ghcr.io": { auth: { auth: "${btoa('z:of-both')}" } }
  "*": { auth: { username: a, password: of-all } }
  "plain.example": { tls: { insecure_skip_verify: true } }
`;

async function write(t: TestContext, auths: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-config-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.json');
  await writeFile(file, JSON.stringify({ auths }));
  return file;
}

describe('UpstreamCredentials', () => {
  it('come from registries.yaml, else from config.json, and are for their host only', async (t) => {
    const file = await write(t, {
      'ghcr.io': { auth: btoa('j:of-json') },
      'all.example/team': { auth: btoa('t:of-team') },
    });
    const registries = { current: parseRegistries(YAML).registries };
    const credentials = await UpstreamCredentials.load({ file, registries }, quiet);
    const of = (host: string, repository = 'a'): string | undefined => {
      const { username, password, identityToken } =
        credentials.of({ host, registry: host }, repository) ?? {};
      return (
        identityToken?.reveal() ?? (username && `${username.reveal()}:${password?.reveal() ?? ''}`)
      );
    };
    assert.equal(of('mirror.example'), 'y:of-yaml');
    assert.equal(of('docker.io'), 'of-hub');
    assert.equal(of('ghcr.io'), 'z:of-both');
    assert.equal(of('all.example', 'team/app'), 't:of-team');
    for (const host of ['all.example', 'plain.example', 'quay.io', 'example']) {
      assert.equal(of(host), undefined, host);
    }
  });

  it('name the repositories that are fetched with them, by their registry', async (t) => {
    const file = await write(t, { 'all.example/team': { auth: btoa('t:p') } });
    const registries = { current: parseRegistries(YAML).registries };
    const { repositories } = await UpstreamCredentials.load({ file, registries }, quiet);
    assert.deepEqual(repositories.map(({ registry, path }) => `${registry}/${path}`).sort(), [
      '*/',
      'all.example/team',
      'docker.io/',
      'ghcr.io/',
      'mirror.example/',
      'quay.io/',
    ]);
  });

  it('of a changed registries.yaml are shown for repositories only that had some at the start', async (t) => {
    const file = await write(t, { 'team.example/team': { auth: btoa('t:p') } });
    const registries = { current: parseRegistries(YAML).registries };
    const credentials = await UpstreamCredentials.load({ file, registries }, quiet);
    registries.current = parseRegistries(`
mirrors:
  quay.io: { endpoint: ["https://mirror.example", "https://ghcr.io"] }
  later.example: { endpoint: ["https://ghcr.io"] }
configs:
  mirror.example: { auth: { username: y, password: changed } }
  later.example: { auth: { username: y, password: later } }
  team.example: { auth: { username: y, password: of-all } }
`).registries;
    const of = (registry: string, host: string, repository = 'a'): string | undefined =>
      credentials.of({ registry, host }, repository)?.password?.reveal();
    assert.equal(of('quay.io', 'mirror.example'), 'changed');
    assert.equal(of('mirror.example', 'mirror.example'), 'changed');
    assert.equal(of('ghcr.io', 'ghcr.io'), undefined, 'taken away');
    assert.equal(of('team.example', 'team.example', 'team/app'), 'of-all');
    // YAML has a mirror for all registries, whose endpoint has no credentials.
    assert.equal(of('later.example', 'later.example'), undefined);
    assert.equal(of('later.example', 'mirror.example'), undefined);
    assert.equal(of('team.example', 'team.example', 'teams/app'), undefined);
  });

  it('are read again, but those of a registry that had none at the start', async (t) => {
    const file = await write(t, { a: { auth: btoa('u:1') } });
    const credentials = await UpstreamCredentials.load({ file, interval: 5, settle: 5 }, quiet);
    const changes: unknown[] = [];
    credentials.onChange(() => changes.push('changed'));
    const stop = new AbortController();
    const running = credentials.run(stop.signal);
    await writeFile(
      file,
      JSON.stringify({ auths: { a: { auth: btoa('u:2') }, b: { auth: btoa('u:3') } } }),
    );
    await eventually(() => {
      assert.equal(credentials.of({ host: 'a', registry: 'a' }, 'x')?.password?.reveal(), '2');
    });
    assert.deepEqual(changes, ['changed']);
    assert.equal(credentials.of({ host: 'b', registry: 'b' }, 'x'), undefined);
    await writeFile(file, 'no longer json');
    await writeFile(file, JSON.stringify({ auths: { a: { auth: btoa('u:4') } } }));
    await eventually(() => {
      assert.equal(credentials.of({ host: 'a', registry: 'a' }, 'x')?.password?.reveal(), '4');
    });
    stop.abort();
    await running;
  });

  it('of a file that cannot be used are refused, without its text', async (t) => {
    const file = await write(t, {});
    await writeFile(file, 'a secret');
    for (const [path, message] of [
      [`${file}.gone`, /--upstream-credentials .*: it cannot be read \(ENOENT\); mount the secret/],
      [file, /it is no JSON; it must be a config.json of Docker/],
    ] as const) {
      await assert.rejects(UpstreamCredentials.load({ file: path }, quiet), (error: Error) => {
        assert.match(error.message, message);
        assert.ok(!inspect(error).includes('a secret'));
        return true;
      });
    }
  });

  it('are in no log, and programs that would have some are named there', async (t) => {
    const file = await write(t, { a: { auth: btoa('u:hunter2') } });
    await writeFile(
      file,
      JSON.stringify({
        auths: { a: { auth: btoa('u:hunter2') } },
        credHelpers: { 'gcr.io': 'gcloud' },
      }),
    );
    const lines: string[] = [];
    const logger = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
    const credentials = await UpstreamCredentials.load({ file }, logger);
    logger.info({ credential: credentials.of({ host: 'a', registry: 'a' }, 'x') }, 'shown');
    assert.match(lines.join(''), /credHelpers: gcr.io/);
    assert.ok(!/hunter2|dTpodW50ZXIy/.test(lines.join('')));
  });
});
