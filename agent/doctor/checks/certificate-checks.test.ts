import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

import { doctorStage, type DoctorStage } from '../../testing/doctor-facts.ts';
import { certificatesResult } from './certificate-checks.ts';

/** Whether openssl is there to make certificates. */
const OPENSSL = spawnSync('openssl', ['version']).status === 0;
const DAY_MS = 86_400_000;

/** Makes a certificate that is valid for this number of days. */
function makeCertificate(stage: DoctorStage, name: string, days: number): string {
  const file = stage.write(name, '');
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const rest = ['-subj', '/CN=test', '-days', String(days), '-keyout', `${file}.key`, '-out', file];
  const { status, stderr } = spawnSync('openssl', [...words, ...rest]);
  assert.equal(status, 0, String(stderr));
  return file;
}

describe('the check certificates', () => {
  it('is ok when no certificate is named', async (t) => {
    const { find } = await doctorStage(t, {});
    assert.equal((await find('certificates')).outcome, 'ok');
  });

  it('fails for a file that is missing or has no certificate', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/a.example/hosts.toml', "[host.'https://a.example']\nca = 'ca.crt'\n");
    const absent = await stage.find('certificates');
    assert.equal(absent.outcome, 'failure');
    assert.match(absent.details?.join() ?? '', /a\.example\/ca\.crt: is not there/);
    stage.write('certs.d/a.example/ca.crt', 'nonsense');
    assert.match((await stage.find('certificates')).details?.join() ?? '', /no certificate in PEM/);
  });

  it('opens neither a pipe nor a device, from which a read might never end', async (t) => {
    const stage = await doctorStage(t, {});
    const toml = "[host.'https://a.example']\nca = ['pipe.crt', '/dev/zero']\n";
    stage.write('certs.d/a.example/hosts.toml', toml);
    assert.equal(spawnSync('mkfifo', [stage.path('certs.d/a.example/pipe.crt')]).status, 0);
    stage.write('certs.d/b.example/README', '');
    assert.equal(spawnSync('mkfifo', [stage.path('certs.d/b.example/hosts.toml')]).status, 0);
    stage.write('certs.d/c.example/hosts.toml/README', '');
    const finding = await stage.find('certificates');
    assert.equal(finding.outcome, 'failure');
    assert.match(finding.details?.join() ?? '', /pipe\.crt: no regular.*zero: no regular/);
    const valid = await stage.find('hosts-valid');
    assert.equal(valid.outcome, 'failure', 'one of them does not hide the others');
    assert.match(valid.details?.join() ?? '', /b\.example.*no regular.*c\.example.*is a folder/);
  });

  it('warns before a certificate expires, and fails afterwards', { skip: !OPENSSL }, async (t) => {
    const stage = await doctorStage(t, {});
    const long = makeCertificate(stage, 'long.crt', 60);
    const short = makeCertificate(stage, 'short.crt', 5);
    const now = Date.now();
    assert.equal((await certificatesResult([long], now)).outcome, 'ok');
    assert.equal((await certificatesResult([long, short], now)).outcome, 'warning');
    assert.equal((await certificatesResult([short], now + 6 * DAY_MS)).outcome, 'failure');
  });

  it(
    'checks client certificates of hosts and of the server, and the certificate of the agent',
    { skip: !OPENSSL },
    async (t) => {
      const stage = await doctorStage(t, {});
      makeCertificate(stage, 'certs.d/a.example/client.crt', 5);
      const client = "client = [['client.crt', 'client.key']]\n";
      stage.write('certs.d/a.example/hosts.toml', `[host.'https://a.example']\n${client}`);
      assert.equal((await stage.find('certificates')).outcome, 'warning');
      stage.write('certs.d/a.example/hosts.toml', `server = 'https://a.example'\n${client}`);
      assert.equal((await stage.find('certificates')).outcome, 'warning');

      const cert = makeCertificate(stage, 'agent.crt', 5);
      const agent = await doctorStage(t, {}, { tls: { cert, key: '', ca: '' } });
      assert.match(
        (await agent.find('certificates')).details?.join() ?? '',
        /agent\.crt: expires on/,
      );
    },
  );

  it('checks the certificates that registries.yaml names', { skip: !OPENSSL }, async (t) => {
    const stage = await doctorStage(t, {});
    for (const key of ['ca_file', 'cert_file']) {
      const file = makeCertificate(stage, `${key}.crt`, 5);
      const more = key === 'cert_file' ? `, key_file: ${file}.key` : '';
      const text = `mirrors: {a.example: }\nconfigs: {a.example: {tls: {${key}: ${file}${more}}}}\n`;
      const yaml = stage.write('registries.yaml', text);
      const { find } = await doctorStage(t, {}, { registriesYaml: yaml });
      const finding = await find('certificates');
      assert.equal(finding.outcome, 'warning');
      assert.match(finding.details?.join() ?? '', /_file\.crt: expires on/);
      assert.equal((await find('registries-yaml')).outcome, 'ok');
    }
  });
});

describe('the check registries-yaml', () => {
  it('is ok without a file', async (t) => {
    const { find } = await doctorStage(t, {});
    assert.equal((await find('registries-yaml')).outcome, 'ok');
  });

  for (const [text, outcome, says] of [
    ['mirrors: {docker.io: }\n', 'ok', /^$/],
    ['configs: {a.example: {tls: {ca_file: /nowhere/ca.crt}}}\n', 'failure', /:1:\d+: the CA file/],
    ['configs: {a.example: {tls: {key_file: /nowhere/key}}}\n', 'failure', /:1:\d+: the key/],
    ['mirrors:\n  *:\n', 'failure', /:2:3: the star needs quotes/],
    ['mirrors: {a.example: {endpoint: ["https://a/x"]}}\n', 'warning', /\/v2/],
  ] as const) {
    it(`is ${outcome} for ${JSON.stringify(text)}`, async (t) => {
      const stage = await doctorStage(t, {});
      const registriesYaml = stage.write('registries.yaml', text);
      const { find } = await doctorStage(t, {}, { registriesYaml });
      const finding = await find('registries-yaml');
      assert.equal(finding.outcome, outcome);
      assert.match(finding.details?.join('\n') ?? '', says);
    });
  }

  it('fails for a file that is named and missing', async (t) => {
    const { find } = await doctorStage(t, {}, { registriesYaml: '/nowhere/registries.yaml' });
    const { outcome, reason } = await find('registries-yaml');
    assert.equal(outcome, 'failure');
    assert.match(reason, /no such file/);
  });
});
