/** A row of a table of routes. */
export interface Route<H> {
  readonly methods: readonly string[];
  /**
   * A path with named parameters: `<reference>` stands for one segment of the path, `<name...>` for one or more.
   * Example: `/v2/<name...>/manifests/<reference>`.
   */
  readonly pattern: string;
  readonly handler: H;
}

/** The row that a request matches, or why there is none. */
export type RouteMatch<H> =
  | {
      readonly kind: 'found';
      readonly handler: H;
      /** Parameters of the pattern, by their names, as they stand in the path: percent-encoded. */
      readonly params: Readonly<Record<string, string>>;
      readonly query: URLSearchParams;
    }
  | { readonly kind: 'method-not-allowed'; /** The value of `Allow`. */ readonly allow: string }
  | { readonly kind: 'not-found' }
  /** The request target is no path. */
  | { readonly kind: 'bad-target' };

interface CompiledRoute<H> extends Route<H> {
  readonly expression: RegExp;
}

/** A table of routes: finds the handler of a request by its method and path. Knows nothing of the answers. */
export class Routes<H> {
  readonly #routes: readonly CompiledRoute<H>[];
  readonly #methods: ReadonlySet<string>;

  /** @param routes the first one that matches is taken */
  constructor(routes: readonly Route<H>[]) {
    this.#routes = routes.map((route) => ({ ...route, expression: compile(route.pattern) }));
    this.#methods = new Set(routes.flatMap(({ methods }) => methods));
  }

  /** A method that no route has is refused before the path is looked at. */
  match(method = '', target = ''): RouteMatch<H> {
    if (!this.#methods.has(method)) return notAllowed(this.#routes);
    const url = split(target);
    if (url === undefined) return { kind: 'bad-target' };
    // One pass, and no list unless the method does not fit: every request comes through here.
    let others: CompiledRoute<H>[] | undefined;
    for (const route of this.#routes) {
      const found = route.expression.exec(url.path);
      if (found === null) continue;
      if (route.methods.includes(method)) {
        const { groups: params = {} } = found;
        return { kind: 'found', handler: route.handler, params, query: url.query };
      }
      (others ??= []).push(route);
    }
    return others === undefined ? { kind: 'not-found' } : notAllowed(others);
  }
}

function notAllowed(
  routes: readonly Route<unknown>[],
): RouteMatch<never> & { kind: 'method-not-allowed' } {
  const methods = new Set(routes.flatMap((route) => route.methods));
  return { kind: 'method-not-allowed', allow: [...methods].join(', ') };
}

function compile(pattern: string): RegExp {
  const source = pattern.replace(
    /<(\w+)(\.{3})?>|[.*+?^${}()|[\]\\]/g,
    (text, name: string | undefined, several: string | undefined) => {
      if (name === undefined) return `\\${text}`;
      return several === undefined ? `(?<${name}>[^/]+)` : `(?<${name}>.+)`;
    },
  );
  return new RegExp(`^${source}$`);
}

function split(target: string): { path: string; query: URLSearchParams } | undefined {
  let origin = target;
  if (!target.startsWith('/')) {
    // The absolute form of RFC 9112, section 3.2.2. Its authority means nothing to this server.
    const authority = /^https?:\/\/[^/?#]*/i.exec(target);
    if (authority === null) return undefined;
    origin = target.slice(authority[0].length);
  }
  const question = origin.indexOf('?');
  return question < 0
    ? { path: origin, query: new URLSearchParams() }
    : { path: origin.slice(0, question), query: new URLSearchParams(origin.slice(question + 1)) };
}
