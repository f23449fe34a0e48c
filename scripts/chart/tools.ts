import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Pinned, so that the checks do not change with new releases. */
const HELM = '3.19.4';
const KUBERNETES_VALIDATE = '1.37.0';
const ACTIONLINT = '1.7.12';

/** Outside of the repository, so that a fresh clone can use the installed tools. */
const CACHE = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'peerglass/chart-tools',
);
const HELM_FOLDER = join(CACHE, `helm-${HELM}`);
const ACTIONLINT_FOLDER = join(CACHE, `actionlint-${ACTIONLINT}`);
const PROMETHEUS_FOLDER = join(CACHE, 'prometheus');
const VALIDATE_FOLDER = join(CACHE, `kubernetes-validate-${KUBERNETES_VALIDATE}`);

/** The programs that check the chart, and the workflows that release it. */
export const TOOLS = {
  actionlint: join(ACTIONLINT_FOLDER, 'actionlint'),
  helm: join(HELM_FOLDER, 'helm'),
  kubernetesValidate: join(VALIDATE_FOLDER, 'bin/kubernetes-validate'),
  promtool: join(PROMETHEUS_FOLDER, 'usr/bin/promtool'),
  prometheus: join(PROMETHEUS_FOLDER, 'usr/bin/prometheus'),
} as const;

/** A message if a program is missing; undefined if it is installed. */
export function missing(tool: keyof typeof TOOLS): string | undefined {
  return existsSync(TOOLS[tool])
    ? undefined
    : `${tool} is not installed; run scripts/install-chart-tools`;
}

/**
 * Installs missing tools: helm and actionlint with Go, kubernetes-validate with pip, promtool from Debian's package.
 *
 * @returns the tools that could not be installed, one line each
 */
export function installTools(): string[] {
  const problems: string[] = [];
  if (missing('helm') !== undefined) {
    problems.push(...installByGo('helm', `helm.sh/helm/v3/cmd/helm@v${HELM}`, HELM_FOLDER));
  }
  if (missing('actionlint') !== undefined) {
    const program = `github.com/rhysd/actionlint/cmd/actionlint@v${ACTIONLINT}`;
    problems.push(...installByGo('actionlint', program, ACTIONLINT_FOLDER));
  }
  if (missing('kubernetesValidate') !== undefined) problems.push(...installValidator());
  problems.push(...installPrometheus());
  return problems;
}

function installByGo(what: string, program: string, folder: string): string[] {
  const go = find('go', ['/usr/local/go/bin', '/usr/lib/go/bin']);
  if (go === undefined) return [`${what}: this machine has no Go to build it`];
  mkdirSync(folder, { recursive: true });
  return attempt(what, go, ['install', '-p', '1', program], { GOBIN: folder });
}

function installValidator(): string[] {
  const python = find('python3', []);
  if (python === undefined) return ['kubernetes-validate: this machine has no python3'];
  const problems = attempt('kubernetes-validate', python, ['-m', 'venv', VALIDATE_FOLDER]);
  if (problems.length === 0) {
    problems.push(
      ...attempt('kubernetes-validate', join(VALIDATE_FOLDER, 'bin/pip'), [
        ...['install', '--quiet', '--disable-pip-version-check'],
        `kubernetes-validate==${KUBERNETES_VALIDATE}`,
      ]),
    );
  }
  // Otherwise the next run would take an incomplete installation for a complete one.
  if (problems.length > 0) rmSync(VALIDATE_FOLDER, { recursive: true, force: true });
  return problems;
}

/**
 * Unpacks promtool and prometheus from Debian's package, unless they exist. Installing the package would start a Prometheus
 * on the port of the agent's metrics.
 *
 * @returns why that failed, one line each
 */
export function installPrometheus(): string[] {
  if (missing('promtool') === undefined) return [];
  const apt = find('apt-get', []);
  if (apt === undefined)
    return ['promtool: its package is for Debian, which this machine does not run'];
  const folder = mkdtempSync(join(tmpdir(), 'peerglass-promtool-'));
  try {
    const download = ['-q', 'download', 'prometheus'];
    let problems = attempt('promtool', apt, download, { cwd: folder });
    if (problems.length > 0 && attempt('promtool', apt, ['-q', 'update']).length === 0) {
      problems = attempt('promtool', apt, download, { cwd: folder });
    }
    if (problems.length > 0) return problems;
    mkdirSync(PROMETHEUS_FOLDER, { recursive: true });
    const [file = ''] = readdirSync(folder);
    return attempt('promtool', 'dpkg-deb', ['-x', join(folder, file), PROMETHEUS_FOLDER]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function attempt(
  what: string,
  program: string,
  args: readonly string[],
  { cwd, ...env }: { readonly cwd?: string; readonly GOBIN?: string } = {},
): string[] {
  const { status, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    cwd,
    env: { ...process.env, ...env, GOTOOLCHAIN: 'local' },
  });
  if (status === 0) return [];
  const reason = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
  return [`${what}: ${program} ${args[0] ?? ''}: ${reason}`];
}

function find(name: string, extraFolders: readonly string[]): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...extraFolders];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}
