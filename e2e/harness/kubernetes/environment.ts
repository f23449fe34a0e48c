import type { Container, EnvVar } from './objects.ts';

/** The facts of a pod that variables can take. */
export interface PodFacts {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly nodeName: string;
  readonly hostIP: string;
  readonly podIP: string;
}

/**
 * The variables of a container. One may use those before it.
 *
 * @throws Error for a field that the downward API does not have, or the harness does not implement
 */
export function environment(
  variables: readonly EnvVar[],
  facts: PodFacts,
): Readonly<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const { name, value, valueFrom } of variables) {
    const path = valueFrom?.fieldRef.fieldPath;
    result[name] = path === undefined ? expand(value ?? '', result) : fieldOf(facts, path);
  }
  return result;
}

/** Command and arguments of a container, with its variables put in. */
export function commandLine(
  { command = [], args = [] }: Pick<Container, 'command' | 'args'>,
  env: Readonly<Record<string, string>>,
): { readonly command: readonly string[]; readonly args: readonly string[] } {
  return {
    command: command.map((word) => expand(word, env)),
    args: args.map((word) => expand(word, env)),
  };
}

/** `$(NAME)` is the variable's value, `$$(NAME)` is `$(NAME)`; what is not known stays. */
function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([^)]*)\)/g, (found, name: string | undefined) =>
    name === undefined ? '$' : (env[name] ?? found),
  );
}

function fieldOf(facts: PodFacts, path: string): string {
  const label = /^metadata\.labels\['(.+)'\]$/.exec(path)?.[1];
  if (label !== undefined) return facts.labels[label] ?? '';
  switch (path) {
    case 'metadata.name':
      return facts.name;
    case 'metadata.namespace':
      return facts.namespace;
    case 'spec.nodeName':
      return facts.nodeName;
    case 'status.hostIP':
      return facts.hostIP;
    case 'status.podIP':
      return facts.podIP;
    default:
      throw new Error(`fieldPath ${path}: the test's kubelet does not know it`);
  }
}
