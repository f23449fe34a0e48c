import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { readMaterial, type TlsMaterial } from '../tls/tls-material.ts';

const run = promisify(execFile);

/** The reason why tests with certificates cannot run on this machine; `false` when they can. */
export const noOpenssl: string | false = await run('openssl', ['version']).then(
  () => false,
  () => 'NOT TESTED: the program openssl, which makes the certificates, is not installed',
);

/** The content of a certificate. */
export interface CertificateSpec {
  /** subjectAltName in the notation of openssl; none when empty. Default: `localhost` and both loopback addresses. */
  readonly names?: string;
  /** Days from now until it expires; negative when it has expired. Default 2. */
  readonly days?: number;
  /** Days from now at which its validity begins. Default: a day ago. */
  readonly from?: number;
  /** Default: the name of the files. */
  readonly commonName?: string;
  /** What the certificate is for (`extendedKeyUsage`). Default: for everything. */
  readonly usage?: 'serverAuth' | 'clientAuth';
}

const EVERYWHERE = 'DNS:localhost,IP:127.0.0.1,IP:::1';
const DAY_MS = 24 * 3_600_000;

/** A certification authority. The folder with its files is removed when it is disposed of. */
export class Authority implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(name = 'test'): Promise<Authority> {
    const authority = new Authority(await mkdtemp(join(tmpdir(), 'peerglass-ca-')));
    const key = authority.file('ca.key');
    await makeKey(key);
    await run('openssl', [
      ...['req', '-x509', '-new', '-key', key, '-subj', `/CN=${name}`, '-days', '2'],
      ...['-addext', 'basicConstraints=critical,CA:TRUE', '-out', authority.file('ca.crt')],
    ]);
    return authority;
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** The certificate of the authority itself. */
  get ca(): string {
    return this.file('ca.crt');
  }

  /** Writes `<name>.crt` and `<name>.key`. */
  async issue(name: string, spec: CertificateSpec = {}): Promise<{ cert: string; key: string }> {
    const { names = EVERYWHERE, days = 2, from = Math.min(-1, days - 1) } = spec;
    const { commonName = name, usage } = spec;
    const [cert, key, request] = ['crt', 'key', 'csr'].map((ending) =>
      this.file(`${name}.${ending}`),
    ) as [string, string, string];
    await makeKey(key);
    const extensions = [
      ...(names === '' ? [] : ['-addext', `subjectAltName=${names}`]),
      ...(usage === undefined ? [] : ['-addext', `extendedKeyUsage=${usage}`]),
    ];
    await run('openssl', [
      ...['req', '-new', '-key', key, '-subj', `/CN=${commonName}`, '-out', request],
      ...extensions,
    ]);
    // `openssl ca`, because no other command takes dates in the past.
    await writeFile(this.file('index.txt'), '');
    await run('openssl', [
      ...['ca', '-batch', '-config', await this.#config(), '-notext'],
      ...['-cert', this.ca, '-keyfile', this.file('ca.key'), '-outdir', this.folder],
      ...['-startdate', toDate(from), '-enddate', toDate(days), '-in', request, '-out', cert],
    ]);
    return { cert, key };
  }

  /** Issues a certificate, and reads it with its key and the authority as an agent does. */
  async material(name: string, spec?: CertificateSpec): Promise<TlsMaterial> {
    const files = await this.issue(name, spec);
    return await readMaterial({ ...files, ca: this.ca });
  }

  async read(name: string): Promise<Buffer> {
    return await readFile(this.file(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  async #config(): Promise<string> {
    const path = this.file('ca.cnf');
    await writeFile(
      path,
      `[ca]\ndefault_ca=c\n[c]\ndatabase=${this.file('index.txt')}\npolicy=p\ncopy_extensions=copy\n` +
        'default_md=sha256\nunique_subject=no\nrand_serial=yes\n[p]\ncommonName=supplied\n',
    );
    return path;
  }
}

async function makeKey(path: string): Promise<void> {
  await run('openssl', [
    ...['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', path],
  ]);
}

/** A date in the notation of openssl: YYYYMMDDHHMMSSZ. */
function toDate(days: number): string {
  const text = new Date(Date.now() + days * DAY_MS).toISOString();
  return `${text.slice(0, 19).replace(/[-:T]/g, '')}Z`;
}
