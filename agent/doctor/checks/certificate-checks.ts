import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';

import { codeOf } from '../../errors/system-error.ts';
import type { HostOptions } from '../../hosts/hosts-toml.ts';
import { formatFinding } from '../../hosts/registries/finding.ts';
import type { Facts } from '../facts.ts';
import { UnsuitableFileError, readSmallText } from '../../files/small-file.ts';
import { CheckSkippedError, failure, ok, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

/** Days before its end from which a certificate is reported. */
const SOON_DAYS = 30;
const DAY_MS = 86_400_000;
/** Upper bound for the files that are checked. */
const MAX_FILES = 200;

const GROUP = 'certificates and registries.yaml';
/** Upper bound for the reported lines of registries.yaml; `check-registries` prints all of them. */
const MAX_LINES = 20;

/** Checks of certificates, and of the registries.yaml that names some of them. */
export const CERTIFICATE_CHECKS: readonly Check<Facts>[] = [
  { id: 'certificates', group: GROUP, run: certificates },
  { id: 'registries-yaml', group: GROUP, run: registriesYaml },
];

async function certificates(facts: Facts): Promise<CheckResult> {
  const { cert, ca, clientCert = '' } = facts.init.tls;
  const named = new Set([cert, ca, clientCert].filter((file) => file !== ''));
  for (const { path, hosts } of await facts.files()) {
    const options: HostOptions[] = [...(hosts?.hosts ?? []), hosts?.serverOptions ?? {}];
    for (const { ca = [], client = [] } of options) {
      const files = [...ca, ...client.map(([certificate]) => certificate)];
      for (const file of files) named.add(resolve(dirname(path), file));
    }
  }
  const yaml = await facts.registriesYaml();
  for (const { tls } of yaml?.parsed?.registries.configs.values() ?? []) {
    for (const file of [tls?.caFile, tls?.certFile]) {
      // The check `registries-yaml` reports the others with their lines.
      if (file !== undefined && isAbsolute(file) && existsSync(file)) named.add(file);
    }
  }
  return await certificatesResult([...named].slice(0, MAX_FILES), Date.now());
}

async function registriesYaml(facts: Facts): Promise<CheckResult> {
  const yaml = await facts.registriesYaml();
  if (yaml === undefined) return ok('there is no registries.yaml of k3s here');
  const { path, parsed, problem = '' } = yaml;
  const remedy = `peerglass check-registries ${path}`;
  if (parsed === undefined) {
    if (problem.includes('not permitted')) throw new CheckSkippedError(problem);
    return failure(problem, remedy);
  }
  const { findings } = parsed;
  if (findings.length === 0) return ok(`${path} is valid for k3s`);
  const lines = findings.slice(0, MAX_LINES).map((finding) => formatFinding(path, finding));
  return findings.some(({ severity }) => severity === 'error')
    ? failure('k3s ignores parts of registries.yaml, or cannot use them', remedy, lines)
    : warning('registries.yaml has lines that k3s may not take as intended', remedy, lines);
}

/**
 * Reads the certificates and reports those that are invalid, expired or near their end.
 *
 * @param now milliseconds since 1970
 */
export async function certificatesResult(
  files: readonly string[],
  now: number,
): Promise<CheckResult> {
  if (files.length === 0)
    return ok('no certificate is named by hosts.toml, registries.yaml or the agent');
  const bad: string[] = [];
  const soon: string[] = [];
  for (const file of files) {
    const end = await endOf(file);
    if (typeof end === 'string') bad.push(`${file}: ${end}`);
    else if (end < now) bad.push(`${file}: expired on ${dayOf(end)}`);
    else if (end < now + SOON_DAYS * DAY_MS) soon.push(`${file}: expires on ${dayOf(end)}`);
  }
  if (bad.length > 0) {
    return failure(
      'hosts.toml, registries.yaml or the agent name certificates that cannot be used',
      'renew them, or correct the path; containerd and the agent read the files again without a restart',
      [...bad, ...soon],
    );
  }
  if (soon.length > 0) {
    return warning(`certificates expire within ${SOON_DAYS} days`, 'renew them', soon);
  }
  return ok(`${files.length} files of certificates are valid for more than ${SOON_DAYS} days`);
}

/** Returns when the first certificate of the file ends, in milliseconds since 1970, or why it cannot be used. */
async function endOf(file: string): Promise<number | string> {
  try {
    const text = await readSmallText(file);
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
    if (blocks === null) return 'has no certificate in PEM form';
    return Math.min(...blocks.map((pem) => Date.parse(new X509Certificate(pem).validTo)));
  } catch (error) {
    if (error instanceof UnsuitableFileError) return error.message;
    const code = codeOf(error) ?? 'not readable';
    return code === 'ENOENT' ? 'is not there' : `cannot be read (${code})`;
  }
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
